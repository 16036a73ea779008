"""The delivered archive: its contents, and that it depends on nothing else."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from openstack_client.errors import PreflightError
from openstack_client.userdata import CarriedFile, read_code, read_model
from openstack_client.userdata.payload import carried, lock_file, pack
from tests.unit.openstack_client.userdata.contexts import CODE, context


def checkout(folder: Path) -> Path:
    for file in CODE:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    return folder


def contents(payload: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(payload), mode="r:xz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in files.items() if file is not None}


def test_reads_the_package_without_caches_and_editor_files(tmp_path: Path) -> None:
    package = checkout(tmp_path) / "production_server"
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"")
    (package / ".x.py.swp").write_bytes(b"")
    (tmp_path / "README.md").write_text("not code")
    assert sorted(file.path for file in read_code(tmp_path)) == [file.path for file in CODE]


def test_dates_and_permissions_do_not_matter(tmp_path: Path) -> None:
    before = pack(read_code(checkout(tmp_path)))
    main = tmp_path / "production_server" / "__main__.py"
    main.chmod(0o600)
    os.utime(main, (1, 1))
    assert pack(read_code(tmp_path)) == before


def test_contents_are_unchanged() -> None:
    assert contents(pack(CODE)) == {file.path: file.content for file in CODE}


def test_files_belong_to_root_and_are_readable() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(CODE)), mode="r:xz") as archive:
        assert {(member.uid, member.mode) for member in archive} == {(0, 0o644)}


def test_a_chosen_model_replaces_the_shipped_one(tmp_path: Path) -> None:
    folder = tmp_path / "iris-3"
    folder.mkdir()
    (folder / "card.json").write_text("card")
    (folder / "model.keras").write_text("model")
    names = [file.path for file in carried(context(model=read_model(folder)))]
    assert names == [
        "production_server/__main__.py",
        "production_server/requirements.txt",
        "production_server/shipped/iris-3/card.json",
        "production_server/shipped/iris-3/model.keras",
    ]


def test_an_incomplete_model_is_reported(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("card")
    with pytest.raises(PreflightError, match=r"model\.keras is missing"):
        read_model(tmp_path)


def test_a_folder_without_code_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="no production_server"):
        read_code(tmp_path)


def test_code_without_locked_dependencies_is_reported() -> None:
    with pytest.raises(PreflightError, match=r"requirements\.txt"):
        lock_file([CarriedFile(path="production_server/__main__.py", content=b"")])
