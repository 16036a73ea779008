"""Packs pushed code as the launcher packs its own, for stackserve-update.

That program runs as root and trusts its archive. So nothing but plain files of the package gets in,
whatever the account `deploy` sent.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from pathlib import Path, PurePosixPath

from production_server.errors import PushError

PACKAGE = "production_server"


def repack(source: Path) -> tuple[bytes, str]:
    """The archive, and the hash by which the launcher and /alive call its code."""
    packed, names = io.BytesIO(), []
    code = hashlib.sha256()
    try:
        with tarfile.open(source) as sent, tarfile.open(fileobj=packed, mode="w") as made:
            for member in sorted(sent, key=lambda member: member.name):
                content = _content(sent, member)
                names.append(member.name)
                code.update(f"{member.name}\0{len(content)}\0".encode() + content)
                entry = tarfile.TarInfo(member.name)
                entry.size, entry.mode = len(content), 0o644
                made.addfile(entry, io.BytesIO(content))
    except (tarfile.TarError, EOFError) as error:
        raise PushError(f"the code did not arrive whole: {error}", "Push it again.") from error
    if len(set(names)) != len(names):
        raise PushError("the code has two files of the same name")
    return lzma.compress(packed.getvalue()), code.hexdigest()[:16]


def _content(sent: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    parts = PurePosixPath(member.name).parts
    file = sent.extractfile(member) if member.isreg() else None
    if file is None or parts[:1] != (PACKAGE,) or any(part.startswith(".") for part in parts):
        raise PushError(f"{member.name!r} is no file of {PACKAGE}/")
    return file.read()
