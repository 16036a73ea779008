"""What somebody sends as a new version: a folder, a .tar or a single file, sorted by name.

Everything has a limit while it is read: a small archive must not fill the disk or the memory. The
archive cannot choose where its files are written.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from production_server.errors import GateError
from production_server.model.card import CARD_FILE, MODEL_FILE

# A network of tabular data has some thousand weights. This is for 60 million.
MOST_BYTES = 256 << 20
MOST_SMALL = 16 << 20
MOST_MEMBERS = 20
BLOCK = 1 << 20
_WEIGHTS = (".h5", ".hdf5")
_FEATURES = "features.json"
_ACCEPTED = (
    "Send a version folder (card.json and model.keras), as `models export` writes it; model.json "
    "with model.h5; or a .keras or .h5 file. All but the first may come with a features file."
)


@dataclass(frozen=True)
class Incoming:
    """The files of a new version, by what they are."""

    model: Path
    weights: Path | None = None
    card: Path | None = None
    features: Path | None = None


def too_large(limit: int = MOST_BYTES) -> GateError:
    return GateError(
        "too_large",
        f"it is larger than {limit:,} bytes",
        f"A new version may have up to {limit:,} bytes. Save the model without its optimizer.",
    )


def spool(source: IO[bytes], target: Path, limit: int = MOST_BYTES) -> int:
    """Copy a stream to a file, and return its size. Raise GateError beyond the limit."""
    size = 0
    with target.open("wb") as file:
        while block := source.read(BLOCK):
            size += len(block)
            if size > limit:
                raise too_large(limit)
            file.write(block)
    return size


def gather(source: Path, scratch: Path, features: Path | None = None) -> Incoming:
    """Copy what was sent to `scratch` and sort it. Raise GateError if it is not a model."""
    if source.is_dir():
        files = _from_folder(source, scratch)
    elif is_tar(source):
        files = _from_tar(source, scratch)
    else:
        files = _from_file(source, scratch)
    return _sorted(files, features)


def is_tar(path: Path) -> bool:
    """Whether a file starts like an uncompressed .tar."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise GateError("unreadable", f"cannot read it: {error.strerror}", _ACCEPTED) from error
    return head[257:262] == b"ustar"


def _from_file(source: Path, scratch: Path) -> dict[str, Path]:
    """A single file. Standard input and HTTP do not tell its name, so its first bytes decide."""
    with source.open("rb") as file:
        head = file.read(8)
    if not head:
        raise GateError("unreadable", "nothing was sent", _ACCEPTED)
    if head.startswith(b"PK"):
        name = MODEL_FILE
    elif head == b"\x89HDF\r\n\x1a\n":
        name = "model.h5"
    elif source.suffix.lower() == ".json":
        name = "model.json"
    else:
        kind = "a compressed file" if head[:2] == b"\x1f\x8b" else "neither a .tar nor a model file"
        raise GateError("unreadable", f"it is {kind}", _ACCEPTED)
    with source.open("rb") as file:
        spool(file, scratch / name)
    return {name: scratch / name}


def _from_folder(source: Path, scratch: Path) -> dict[str, Path]:
    files, left = {}, MOST_BYTES
    for path in sorted(source.iterdir()):
        if _kind(path.name) is None:
            continue
        if path.is_symlink() or not path.is_file():
            raise _foreign(path.name)
        with path.open("rb") as file:
            left -= spool(file, scratch / path.name, min(left, _most(path.name)))
        files[path.name] = scratch / path.name
    return files


def _from_tar(source: Path, scratch: Path) -> dict[str, Path]:
    if source.stat().st_size > MOST_BYTES:
        raise too_large()
    files: dict[str, Path] = {}
    try:
        # Uncompressed only: what it unpacks to is then no larger than itself.
        with tarfile.open(source, "r:") as tar:
            for member in _members(tar):
                name = PurePosixPath(member.name).name
                if name in files or _kind(name) is None:
                    raise _foreign(member.name)
                if member.size > _most(name):
                    raise too_large(_most(name))
                data = tar.extractfile(member)
                assert data is not None  # not for a regular file
                with data, (scratch / name).open("wb") as out:
                    shutil.copyfileobj(data, out, BLOCK)
                if (scratch / name).stat().st_size != member.size:
                    raise tarfile.ReadError("unexpected end of data")
                files[name] = scratch / name
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise GateError(
            "unreadable",
            f"the .tar cannot be read to its end: {error}",
            "It is damaged or incomplete. Make it again, and send it again.",
        ) from error
    return files


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(tar, start=1):
        if count > MOST_MEMBERS:
            raise GateError("foreign", f"it has more than {MOST_MEMBERS} members", _ACCEPTED)
        parts = PurePosixPath(member.name).parts
        # A Mac adds ._files with its own attributes.
        if member.isdir() or (parts and parts[-1].startswith("._")):
            continue
        if not member.isreg() or len(parts) > 2 or not parts or parts[0] in ("..", "/"):
            raise _foreign(member.name)
        yield member


def _kind(name: str) -> str | None:
    """What a file is, by its name; None if it is no part of a model."""
    suffix = PurePosixPath(name).suffix.lower()
    if name == CARD_FILE:
        return "card"
    if suffix == ".toml" or name == _FEATURES:
        return "features"
    if suffix == ".keras":
        return "keras"
    if suffix in _WEIGHTS:
        return "weights"
    return "description" if suffix == ".json" else None


def _most(name: str) -> int:
    return MOST_BYTES if _kind(name) in ("keras", "weights") else MOST_SMALL


def _foreign(name: str) -> GateError:
    return GateError(
        "foreign", f"it contains {name[:80]!r}, which does not belong to a model", _ACCEPTED
    )


def _sorted(files: dict[str, Path], features: Path | None) -> Incoming:
    kinds: dict[str, list[Path]] = {}
    for name, path in files.items():
        kinds.setdefault(_kind(name) or "", []).append(path)
    twice = [kind for kind, paths in kinds.items() if len(paths) > 1]
    if twice:
        names = " and ".join(path.name for path in kinds[twice[0]])
        raise GateError("foreign", f"it contains {names}: only one of them can be meant", _ACCEPTED)
    one = {kind: paths[0] for kind, paths in kinds.items()}
    described = features or one.get("features")
    if "card" in one:
        if one.get("keras") is None or one["keras"].name != MODEL_FILE:
            raise GateError("half", "it contains card.json without model.keras", _ACCEPTED)
        if described is not None or len(one) > 2:
            raise GateError("foreign", "a version with a card takes no other files", _ACCEPTED)
        return Incoming(one["keras"], card=one["card"])
    if "keras" in one:
        if len(one.keys() - {"features"}) > 1:
            raise GateError("foreign", "it contains two models", _ACCEPTED)
        return Incoming(one["keras"], features=described)
    if "description" in one:
        if "weights" not in one:
            raise GateError(
                "half",
                f"{one['description'].name} describes a model, but its weights (.h5) are missing",
                "Send model.json and model.h5 together.",
            )
        return Incoming(one["description"], one["weights"], features=described)
    if "weights" in one:
        return Incoming(one["weights"], features=described)
    raise GateError("unreadable", "it contains no model", _ACCEPTED)


def is_part(name: str) -> bool:
    """Whether a file with this name can be a part of a new version."""
    return name == PurePosixPath(name).name and _kind(name) is not None
