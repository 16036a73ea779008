"""What is sent as a new version: which files it may have, and how large it may be."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from production_server.errors import GateError
from production_server.model import incoming
from production_server.model.incoming import gather, spool


def tar_of(path: Path, files: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    return path


def refused(source: Path, tmp_path: Path) -> GateError:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(GateError) as caught:
        gather(source, scratch)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        (["d-1/card.json", "d-1/model.keras"], {"model", "card"}),
        (["model.json", "model.h5"], {"model", "weights"}),
        (["./model.json", "./model.h5", "./features.toml"], {"model", "weights", "features"}),
        (["my.json", "my.hdf5", "features.json"], {"model", "weights", "features"}),
        (["flowers.keras", "flowers.toml", "._flowers.keras"], {"model", "features"}),
        (["old.h5"], {"model"}),
    ],
)
def test_what_is_accepted(tmp_path: Path, names: list[str], kinds: set[str]) -> None:
    tar = tar_of(tmp_path / "sent.tar", {name: name.encode() for name in names})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = gather(tar, scratch)
    assert {kind for kind, path in vars(found).items() if path is not None} == kinds
    for path in filter(None, vars(found).values()):
        assert path.parent == scratch and path.read_bytes().endswith(path.name.encode())


@pytest.mark.parametrize(
    ("names", "code", "reason"),
    [
        (["model.json"], "half", "weights"),
        (["card.json"], "half", "without model.keras"),
        (["card.json", "other.keras"], "half", "without model.keras"),
        (["card.json", "model.keras", "model.h5"], "foreign", "no other files"),
        (["a.keras", "b.keras"], "foreign", "only one"),
        (["a.keras", "b.h5"], "foreign", "two models"),
        (["features.toml"], "unreadable", "no model"),
        (["model.keras", "run.sh"], "foreign", "run.sh"),
        (["../model.keras"], "foreign", "model.keras"),
        (["/model.keras"], "foreign", "model.keras"),
        (["a/b/model.keras"], "foreign", "model.keras"),
        ([f"{number}/model.keras" for number in range(2)], "foreign", "model.keras"),
        ([f"{number}/._x" for number in range(30)], "foreign", "20 members"),
    ],
)
def test_what_is_refused(tmp_path: Path, names: list[str], code: str, reason: str) -> None:
    tar = tar_of(tmp_path / "sent.tar", dict.fromkeys(names, b"x"))
    error = refused(tar, tmp_path)
    assert error.code == code
    assert reason in str(error)


def test_links_are_refused(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "sent.tar", {}, link="model.keras")
    assert refused(tar, tmp_path).code == "foreign"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.keras").symlink_to("/etc/passwd")
    (tmp_path / "scratch").rmdir()
    assert refused(folder, tmp_path).code == "foreign"


def test_an_archive_that_is_cut_off_or_compressed(tmp_path: Path) -> None:
    whole = tar_of(tmp_path / "whole.tar", {"model.keras": b"x" * 5000}).read_bytes()
    for number, data in enumerate([whole[:3000], gzip.compress(whole), b"", b"hello"]):
        sent = tmp_path / f"sent-{number}"
        sent.write_bytes(data)
        assert refused(sent, tmp_path).code == "unreadable"
        (tmp_path / "scratch").rename(tmp_path / f"scratch-{number}")


def test_too_many_bytes_are_refused_while_they_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "BLOCK", 1000)
    endless = io.BytesIO(b"x" * 10_000)
    with pytest.raises(GateError) as caught:
        spool(endless, tmp_path / "sent", 2500)
    assert caught.value.code == "too_large"
    assert endless.tell() == 3000
    assert (tmp_path / "sent").stat().st_size <= 2500


def test_a_member_may_not_be_larger_than_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "MOST_SMALL", 100)
    tar = tar_of(tmp_path / "sent.tar", {"card.json": b"x" * 101, "model.keras": b"x" * 1000})
    assert refused(tar, tmp_path).code == "too_large"
