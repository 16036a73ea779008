"""Files are on the disk before they appear under their names, and damage is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from production_server.model.card import Card, Feature
from production_server.model.durable import read_sealed, write_sealed, write_whole
from production_server.model.registry import Registry

CARD = Card(
    name="toy",
    version="toy-1",
    kind="regression",
    target="Sum",
    features=[Feature(name="a", low=0, high=1, default=0.5)],
)


class Disk:
    """What was flushed to the disk and renamed, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Path]] = []
        fsync, rename, replace = os.fsync, os.rename, os.replace

        def record_fsync(handle: int) -> None:
            fsync(handle)
            self.events.append(("sync", Path(f"/proc/self/fd/{handle}").readlink()))

        def record_move(move: object, old: Path, new: Path) -> None:
            # Nothing may be written after it was flushed, so check the order of the flushes.
            self.events.append(("move", Path(old)))
            move(old, new)  # type: ignore[operator]
            self.events.append(("appear", Path(new)))

        monkeypatch.setattr(os, "fsync", record_fsync)
        monkeypatch.setattr(os, "rename", lambda old, new, **_: record_move(rename, old, new))
        monkeypatch.setattr(os, "replace", lambda old, new, **_: record_move(replace, old, new))

    def check(self, old: Path, new: Path, contents: set[Path]) -> None:
        """Fail unless `contents` were flushed before the rename, and the folder after it."""
        at = self.events.index(("move", old))
        assert self.events[at + 1] == ("appear", new)
        assert contents <= {path for kind, path in self.events[:at] if kind == "sync"}
        assert ("sync", new.parent) in self.events[at:]


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_sealed_file_is_flushed_before_it_appears(tmp_path: Path, flushed: Disk) -> None:
    write_sealed(tmp_path / "code", b"machine code")
    fresh = next(path for kind, path in flushed.events if kind == "move")
    flushed.check(fresh, tmp_path / "code", {fresh})
    assert read_sealed(tmp_path / "code") == b"machine code"


@pytest.mark.parametrize("content", [None, b"", b"machine code", b"\0" * 32])
def test_damage_is_noticed(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "code"
    if content is not None:
        path.write_bytes(content)
    assert read_sealed(path) is None
    write_sealed(path, b"machine code")
    for cut in range(len(path.read_bytes())):
        path.with_name("cut").write_bytes(path.read_bytes()[:cut])
        assert read_sealed(path.with_name("cut")) is None


def test_versions_and_the_active_one_are_flushed(tmp_path: Path, flushed: Disk) -> None:
    model = tmp_path / "anything.keras"
    model.write_bytes(b"a model")
    registry = Registry(tmp_path / "registry")
    registry.add(CARD, model, activate=True)
    moves = zip(flushed.events, flushed.events[1:], strict=False)
    moved = {new.name: old for (_, old), (kind, new) in moves if kind == "appear"}
    folder, active = moved["toy-1"], moved["active"]
    version = {folder, folder / "model.keras", folder / "card.json"}
    flushed.check(folder, registry.path / "toy-1", version)
    flushed.check(active, registry.path / "active", {active})


def test_containers_may_write_the_same_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their processes and threads have the same numbers, so these cannot name files."""
    path, replace, began = tmp_path / "shared", Path.replace, []

    def replace_late(fresh: Path, target: Path) -> Path:
        if not began:
            began.append(fresh)
            write_whole(path, b"from the other container")
        return replace(fresh, target)

    monkeypatch.setattr(Path, "replace", replace_late)
    write_whole(path, b"from this one")
    assert path.read_bytes() == b"from this one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["shared"]
