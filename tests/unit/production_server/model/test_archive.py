"""Exported versions unpack unchanged, and no archive can choose where its files go."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from production_server.errors import ModelError, RegistryError
from production_server.model.archive import export, unpack
from production_server.model.registry import SHIPPED, Registry

VERSION = Registry(SHIPPED).versions()[-1]


def tar_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_export_and_unpack(tmp_path: Path) -> None:
    target = tmp_path / "model.tar"
    export(Registry(SHIPPED), VERSION, target)
    (tmp_path / "out").mkdir()
    kept = Registry(tmp_path / "registry").add_folder(unpack(target, tmp_path / "out"))
    assert kept == Registry(SHIPPED).card(VERSION)


def test_the_same_version_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        export(Registry(SHIPPED), VERSION, tmp_path / name)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_unwritable_target(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot write"):
        export(Registry(SHIPPED), VERSION, tmp_path / "nowhere" / "model.tar")


def test_a_damaged_version_is_not_exported(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.seed()
    registry.model_path(VERSION).write_bytes(b"other")
    with pytest.raises(RegistryError, match="damaged"):
        export(registry, VERSION, tmp_path / "model.tar")


@pytest.mark.parametrize(
    "name",
    [
        "../card.json",
        "/card.json",
        "toy-1/../../card.json",
        "a/b/card.json",
        "toy-1/evil.py",
        "toy-1/.bashrc",
    ],
)
def test_other_members_are_refused(tmp_path: Path, name: str) -> None:
    source = tar_of(tmp_path / "model.tar", (name, b"{}"))
    out = tmp_path / "in" / "out"
    out.mkdir(parents=True)
    with pytest.raises(ModelError, match="does not belong"):
        unpack(source, out)
    assert not list((tmp_path / "in").rglob("*.*"))


def test_links_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.tar"
    with tarfile.open(source, "w") as tar:
        link = tarfile.TarInfo("toy-1/card.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(ModelError, match="does not belong"):
        unpack(source, tmp_path)


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    source = tar_of(tmp_path / "model.tar", ("toy-1/card.json", b"1"), ("toy-1/card.json", b"2"))
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="does not belong"):
        unpack(source, tmp_path / "out")


def test_a_truncated_archive_and_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    whole = tmp_path / "model.tar"
    export(Registry(SHIPPED), VERSION, whole)
    half = tmp_path / "half.tar"
    half.write_bytes(whole.read_bytes()[:30_000])
    with pytest.raises(ModelError, match=r"cannot read|contains no"):
        unpack(half, tmp_path / "out")
    (tmp_path / "text.tar").write_text("hello", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot read"):
        unpack(tmp_path / "text.tar", tmp_path / "out")
