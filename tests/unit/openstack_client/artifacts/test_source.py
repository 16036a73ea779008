"""What `models push` sends: the files, the name, and what it refuses."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from openstack_client.artifacts.source import name_of, unpacked
from openstack_client.errors import SettingsError


def version(folder: Path, name: str = "flowers-2") -> Path:
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"model")
    (folder / "card.json").write_text(json.dumps({"version": name}))
    (folder / "notes.txt").write_text("not sent")
    return folder


def test_a_folder_has_its_name_from_the_card(tmp_path: Path) -> None:
    with unpacked(str(version(tmp_path / "v")), None) as files:
        assert set(files) == {"model.keras", "card.json"}
        assert files["model.keras"].read_bytes() == b"model"
        assert name_of(files, None) == "flowers-2"
        assert name_of(files, "roses-1") == "roses-1"


def test_a_model_without_a_card_needs_a_name(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"model")
    (tmp_path / "flowers.toml").write_text("")
    with unpacked(str(tmp_path / "model.h5"), tmp_path / "flowers.toml") as files:
        assert set(files) == {"model.h5", "features.toml"}
        with pytest.raises(SettingsError, match="no version name"):
            name_of(files, None)
        with pytest.raises(SettingsError, match="is no version name"):
            name_of(files, "../x")


@pytest.mark.parametrize("name", ["../../evil.sh", "weights.bin"])
def test_foreign_members_are_refused(name: str, tmp_path: Path) -> None:
    folder = version(tmp_path / "v")
    with tarfile.open(tmp_path / "v.tar", "w") as archive:
        archive.add(folder / "card.json", "card.json")
        archive.add(folder / "notes.txt", name)
    with pytest.raises(SettingsError, match="too many"), unpacked(str(tmp_path / "v.tar"), None):
        pass


def test_a_link_in_a_tar_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("model.keras")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "v.tar", "w") as archive:
        archive.addfile(link)
    with pytest.raises(SettingsError, match="too many"), unpacked(str(tmp_path / "v.tar"), None):
        pass


def test_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.tar").write_bytes(b"garbage" * 1000)
    given = str(tmp_path / "v.tar")
    with pytest.raises(SettingsError, match=r"no complete \.tar"), unpacked(given, None):
        pass
