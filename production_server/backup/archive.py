"""The archive of a backup: a tar.gz that begins with manifest.json.

    manifest.json                     what follows, with sizes and SHA-256 checksums
    jobs.sqlite3                      the jobs, as one SQLite file
    models/VERSION/model.keras        the model registry
    models/VERSION/card.json

`openstack_client/deploy/archive.py` checks the same format on the user's machine.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from production_server.errors import BackupError
from production_server.model.activations import State
from production_server.model.card import CARD_FILE, MODEL_FILE, is_version

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "jobs.sqlite3"
MODELS = "models"
MODEL_MEMBER = re.compile(rf"{MODELS}/([^/]+)/({re.escape(CARD_FILE)}|{re.escape(MODEL_FILE)})")
MAX_MANIFEST_BYTES = 16_000_000
BLOCK = 1 << 20
# The outputs of jobs are float32 numbers: a higher level takes longer and hardly saves space.
LEVEL = 3

Report = Callable[[int, int], None]
"""Called with the bytes done, and with the total or 0 if that is not known yet."""


class File(BaseModel):
    """A file of the archive."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What an archive contains."""

    model_config = ConfigDict(frozen=True)

    format: int
    created: str
    stackserve: str
    code_hash: str
    schema_version: int
    rows: dict[str, int]
    """The number of rows of each table."""
    models: list[str]
    active: str | None
    # Archives of older releases have none.
    rollout: State = State()
    files: dict[str, File]

    @property
    def summary(self) -> str:
        jobs = self.rows["jobs"]
        return (
            f"{jobs:,} {'job' if jobs == 1 else 'jobs'}, "
            f"{'model' if len(self.models) == 1 else 'models'} {', '.join(self.models) or 'none'}"
        )


def pack(stream: IO[bytes], folder: Path, manifest: Manifest, report: Report) -> None:
    """Write the files in `folder` that the manifest names."""
    total = sum(file.bytes for file in manifest.files.values())
    done = 0
    with (
        gzip.GzipFile("", "wb", LEVEL, stream, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        text = manifest.model_dump_json(indent=1).encode()
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        for name, file in manifest.files.items():
            with (folder / name).open("rb") as source:
                tar.addfile(_member(name, file.bytes), source)
            done += file.bytes
            report(done, total)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


def unpack(stream: IO[bytes], folder: Path, report: Report) -> Manifest:
    """Unpack a whole archive into `folder`. Raises BackupError unless every byte is right."""
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as zipped:
            with tarfile.open(fileobj=zipped, mode="r|") as tar:
                members = iter(tar)
                manifest = _read_manifest(tar, next(members, None))
                _unpack_files(tar, members, manifest, folder, report)
            # gzip compares its own checksum at the end of the stream.
            while zipped.read(BLOCK):
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise damaged(str(error) or type(error).__name__) from error
    return manifest


def damaged(why: str) -> BackupError:
    return BackupError(
        f"the archive is damaged or is not a backup: {why}",
        "Nothing was changed. Use another archive.",
    )


def _read_manifest(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> Manifest:
    if member is None or member.name != MANIFEST or not member.isreg():
        raise damaged(f"it does not begin with {MANIFEST}")
    if member.size > MAX_MANIFEST_BYTES:
        raise damaged(f"{MANIFEST} is over {MAX_MANIFEST_BYTES:,} bytes")
    file = tar.extractfile(member)
    assert file is not None, "a regular file has contents"
    try:
        manifest = Manifest.model_validate_json(file.read())
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        raise damaged(f"{MANIFEST}: {first['msg']}") from error
    if manifest.format != FORMAT:
        raise BackupError(
            f"the archive has format {manifest.format}, and this version reads format {FORMAT}",
            f"Restore it with Stackserve {manifest.stackserve}.",
        )
    strange = [name for name in manifest.files if not _belongs(name, manifest)]
    if strange or DATABASE not in manifest.files:
        raise damaged(f"{MANIFEST} names {strange[0]!r}" if strange else f"it has no {DATABASE}")
    if manifest.active not in (None, *manifest.models):
        raise damaged(f"the active model {manifest.active!r} is missing")
    return manifest


def _belongs(name: str, manifest: Manifest) -> bool:
    """Whether a file is part of a backup. No name can point outside the folder."""
    match = MODEL_MEMBER.fullmatch(name)
    of_model = match is not None and is_version(match[1]) and match[1] in manifest.models
    return name == DATABASE or of_model


def _unpack_files(
    tar: tarfile.TarFile,
    members: Iterator[tarfile.TarInfo],
    manifest: Manifest,
    folder: Path,
    report: Report,
) -> None:
    missing = dict(manifest.files)
    total = sum(file.bytes for file in missing.values())
    done = 0
    for member in members:
        expected = missing.pop(member.name, None)
        if expected is None or not member.isreg() or member.size != expected.bytes:
            raise damaged(f"{member.name!r} is not as {MANIFEST} says")
        source = tar.extractfile(member)
        assert source is not None, "a regular file has contents"
        if _copy(source, folder / member.name) != expected.sha256:
            raise damaged(f"{member.name!r} has another checksum than in {MANIFEST}")
        done += member.size
        report(done, total)
    if missing:
        raise damaged(f"{sorted(missing)[0]!r} is missing")


def _copy(source: IO[bytes], target: Path) -> str:
    """Copy to disk for good, and return the SHA-256."""
    digest = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except OSError as error:
        raise _unwritable(target, error) from error
    with file:
        while block := source.read(BLOCK):
            digest.update(block)
            try:
                file.write(block)
            except OSError as error:
                raise _unwritable(target, error) from error
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _unwritable(path: Path, error: OSError) -> BackupError:
    return BackupError(
        f"cannot write {path}: {error.strerror}",
        "Nothing was changed. Make room or correct the permissions, then try again.",
    )
