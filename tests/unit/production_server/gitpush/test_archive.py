"""Pushed code becomes an archive as the launcher makes it, and nothing else gets into that."""

from __future__ import annotations

import io
import lzma
import tarfile
from pathlib import Path

import pytest

from openstack_client.userdata.context import CarriedFile
from openstack_client.userdata.payload import code_hash
from production_server.errors import PushError
from production_server.gitpush.archive import repack

FILES = {"production_server/b.py": b"b", "production_server/__main__.py": b"a"}


def sent(folder: Path, *members: tarfile.TarInfo, files: dict[str, bytes] = FILES) -> Path:
    path = folder / "sent.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for member in members:
            tar.addfile(member)
    return path


def test_it_is_called_as_the_launcher_calls_it(tmp_path: Path) -> None:
    content, code = repack(sent(tmp_path))
    carried = [CarriedFile(path=path, content=data) for path, data in FILES.items()]
    assert code == code_hash(carried)
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(content))) as tar:
        assert tar.getnames() == sorted(FILES)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("production_server/../../etc/cron.d/x", tarfile.REGTYPE),
        ("/etc/passwd", tarfile.REGTYPE),
        ("other/x", tarfile.REGTYPE),
        ("production_server/.hidden", tarfile.REGTYPE),
        ("production_server/link", tarfile.SYMTYPE),
        ("production_server/hard", tarfile.LNKTYPE),
        ("production_server/device", tarfile.CHRTYPE),
        ("production_server/b.py", tarfile.REGTYPE),
    ],
)
def test_nothing_else_reaches_the_program_that_root_runs(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "production_server/b.py"
    with pytest.raises(PushError):
        repack(sent(tmp_path, member))


def test_what_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = sent(tmp_path, files={"production_server/a": b"x" * 5000})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PushError):
        repack(path)
