"""Where machine code is stored, its file names, and the errors of the compiler."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from production_server.model import machine_code
from production_server.model.compiler import remove_stale
from production_server.model.registry import SHIPPED, Registry

CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])


def test_a_private_folder_is_created_and_used(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    assert machine_code.private_folder(folder) == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert machine_code.private_folder(folder) == folder


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    shared, linked = tmp_path / "shared", tmp_path / "linked"
    shared.mkdir()
    shared.chmod(0o770)
    (tmp_path / "real").mkdir(mode=0o700)
    linked.symlink_to(tmp_path / "real")
    assert machine_code.private_folder(shared) is None
    assert machine_code.private_folder(linked) is None
    assert machine_code.private_folder(tmp_path / "none" / "code") is None


def test_a_folder_of_another_account_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "code"
    folder.mkdir(mode=0o700)
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert machine_code.private_folder(folder) is None


def test_the_name_depends_on_model_code_and_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    name = machine_code.file_name(CARD)
    assert name == machine_code.file_name(CARD)
    assert name.startswith(f"{CARD.version}.")
    assert name != machine_code.file_name(CARD.model_copy(update={"model_sha256": "0" * 64}))
    with monkeypatch.context() as patch:
        patch.setattr(machine_code, "SOURCES", (Path(__file__),))
        assert name != machine_code.file_name(CARD)
    monkeypatch.setattr(machine_code, "_processor", lambda: "flags : none")
    assert name != machine_code.file_name(CARD)


def test_code_of_other_versions_and_processors_is_deleted(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.seed()
    folder = tmp_path / ".compiled"
    folder.mkdir()
    kept = folder / machine_code.file_name(CARD)
    for name in (kept.name, f"{CARD.version}.older", "gone-1.abc", ".fresh-12", ".lock"):
        (folder / name).touch()
    remove_stale(registry, kept)
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept.name, ".lock"])


def test_the_compilers_own_error_is_reported() -> None:
    known = machine_code._compiler_error(
        CARD, 1, '["it holds a Lambda layer", "Replace it."]\n', "noise\n"
    )
    assert (str(known), known.remedy) == ("it holds a Lambda layer", "Replace it.")
    unknown = machine_code._compiler_error(CARD, -9, "", "loading\nno memory\n")
    assert "exit code -9" in str(unknown)
    assert str(unknown).endswith("no memory")
