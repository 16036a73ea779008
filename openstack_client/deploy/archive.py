"""Check a backup's archive on this machine, before it is sent or after it was received.

`production_server/backup/archive.py` defines the format. The server checks it again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
BLOCK = 1 << 20


class Damaged(Exception):
    """The file is not a complete archive."""


@dataclass(frozen=True)
class Archive:
    """What an archive contains."""

    file: str
    bytes: int
    created: str
    jobs: int
    models: tuple[str, ...]
    active: str | None
    stackserve: str

    @property
    def summary(self) -> str:
        count = f"{self.jobs:,} {'job' if self.jobs == 1 else 'jobs'}"
        models = f"{'model' if len(self.models) == 1 else 'models'} {', '.join(self.models)}"
        return f"{count}, {models}, {self.bytes / 1e6:,.1f} MB, saved {self.created}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "models": list(self.models)}


def check(path: Path) -> Archive:
    """Read the whole archive and compare every checksum. Raises Damaged."""
    try:
        with gzip.open(path) as zipped:
            with tarfile.open(fileobj=zipped, mode="r|") as tar:
                manifest = _checked(tar)
            # gzip compares its own checksum at the end of the file.
            while zipped.read(BLOCK):
                pass
        return Archive(
            str(path),
            path.stat().st_size,
            str(manifest["created"]),
            int(manifest["rows"]["jobs"]),
            tuple(map(str, manifest["models"])),
            manifest["active"],
            str(manifest["stackserve"]),
        )
    except (tarfile.TarError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise Damaged(str(error) or type(error).__name__) from error
    except OSError as error:
        raise Damaged(error.strerror or str(error)) from error


def _checked(tar: tarfile.TarFile) -> dict[str, Any]:
    members = iter(tar)
    first = next(members, None)
    file = tar.extractfile(first) if first and first.name == MANIFEST else None
    if file is None:
        raise Damaged(f"it does not begin with {MANIFEST}")
    manifest: dict[str, Any] = json.load(file)
    missing = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    for member in members:
        source = tar.extractfile(member) if member.isreg() else None
        digest = hashlib.sha256()
        while source and (block := source.read(BLOCK)):
            digest.update(block)
        if missing.pop(member.name, None) != digest.hexdigest():
            raise Damaged(f"{member.name!r} is not as {MANIFEST} says")
    if missing:
        raise Damaged(f"{min(missing)!r} is missing")
    return manifest
