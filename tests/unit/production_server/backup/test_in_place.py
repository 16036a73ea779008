"""A registry that is a volume: its contents are exchanged, and a kill anywhere loses nothing."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from production_server.backup import in_place
from production_server.backup.restore import finish_interrupted
from production_server.settings import Settings
from tests.support.stopped_service import restored, rows, saved, service, tree


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def changes(monkeypatch: pytest.MonkeyPatch, most: int) -> Iterator[list[str]]:
    """Renames and removals of folders work this often; the next one kills."""
    done: list[str] = []
    with monkeypatch.context() as context:
        for name in ("rename", "mkdir", "rmdir"):
            real = getattr(Path, name)

            def counted(self: Path, *rest: object, real: object = real) -> object:
                if len(done) == most:
                    raise Killed
                done.append(self.name)
                return real(self, *rest)  # type: ignore[operator]

            context.setattr(Path, name, counted)
        yield done


def make(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "card.json").write_text(text)
    return folder


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return make(tmp_path / "fresh", b="new", c="new", d="new")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "folder", a="old", b="old")


def test_all_of_the_new_is_there_and_all_of_the_old_is_kept(folder: Path, fresh: Path) -> None:
    before = tree(folder)
    in_place.exchange(folder, fresh, 5)
    (kept,) = in_place.kept_in(folder)
    assert in_place.number_of(kept) == 5 and tree(kept) == before
    assert {path.name for path in folder.iterdir()} == {"b", "c", "d", kept.name}


def test_a_kill_anywhere_can_be_undone_even_if_the_undoing_is_killed(
    folder: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(folder)
    for first in range(20):
        with changes(monkeypatch, first) as done:
            try:
                in_place.exchange(folder, fresh, first)
                break
            except Killed:
                assert len(done) == first
        for second in range(20):
            with changes(monkeypatch, second):
                try:
                    for kept in list(in_place.kept_in(folder)):
                        in_place.undo(folder, kept)
                    break
                except Killed:
                    pass
        # Half a copy may stay, until the next exchange.
        now = {name: text for name, text in tree(folder).items() if ".coming-" not in name}
        assert now == before and not any(in_place.kept_in(folder))
    assert first > 5


def no_rename(self: Path, target: Path) -> Path:
    raise OSError(errno.EBUSY, "Device or resource busy")


@pytest.fixture
def volume(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The registry of this service cannot be renamed, like any mounted folder."""
    real, registry = Path.rename, settings.registry_path.resolve()
    monkeypatch.setattr(
        Path,
        "rename",
        lambda self, target: no_rename(self, target) if self == registry else real(self, target),
    )
    return settings


def test_an_archive_is_restored_into_a_volume(volume: Settings, tmp_path: Path) -> None:
    other = service(tmp_path / "other")
    restored(volume, saved(other))
    assert (rows(volume), tree(volume.registry_path)) == (rows(other), tree(other.registry_path))


def test_a_worker_without_the_jobs_leaves_it_to_the_others(
    settings: Settings, tmp_path: Path
) -> None:
    registry = settings.registry_path
    (registry / ".before-5").mkdir()
    (registry / "diabetes-1").rename(registry / ".before-5" / "diabetes-1")
    worker = settings.model_copy(update={"home": tmp_path / "no-jobs", "registry": registry})
    finish_interrupted(worker)
    assert [kept.name for kept in in_place.kept_in(registry)] == [".before-5"]
