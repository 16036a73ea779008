"""What a store keeps: parts named by their SHA-256, and one small index per version.

An index lists the files of a version and the parts of each file. It is written last, so a version
is either complete or not there. The same files always give the same index.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from openstack_client.deploy.model_file import FEATURES, PARTS, VERSION

PART_BYTES = 8 * 1024 * 1024
# What the service's gate accepts.
MOST_BYTES = 512 * 1024 * 1024
INDEX_BYTES = 1024 * 1024
VERSIONS = "versions/"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Value):
    """A piece of a file, which is an object of its own."""

    sha256: Sha256
    size: int = Field(gt=0, le=PART_BYTES)

    @property
    def key(self) -> str:
        return f"objects/{self.sha256[:2]}/{self.sha256}"


class File(_Value):
    """A file of a version."""

    name: str
    sha256: Sha256
    size: int = Field(ge=0, le=MOST_BYTES)
    parts: tuple[Part, ...]

    @model_validator(mode="after")
    def _fits(self) -> File:
        if self.name not in (*PARTS, *FEATURES):
            raise ValueError(f"{self.name!r} does not belong to a model")
        if sum(part.size for part in self.parts) != self.size:
            raise ValueError(f"the parts of {self.name} do not add up to its size")
        return self


class Index(_Value):
    """A version in a store."""

    version: str = Field(pattern=f"^{VERSION.pattern}$")
    files: tuple[File, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once(self) -> Index:
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("it lists a file twice")
        return self

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        return self.model_dump_json(indent=1).encode() + b"\n"


def key_of(version: str) -> str:
    """The name of a version's index."""
    return f"{VERSIONS}{version}.json"


def version_of(key: str) -> str | None:
    """The version whose index has this name, if it is one."""
    match = re.fullmatch(f"{VERSIONS}({VERSION.pattern})\\.json", key)
    return match[1] if match else None


def decode(content: bytes, version: str) -> Index:
    """Read an index. Raises ValueError, with the reason on one line."""
    try:
        index = Index.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    if index.version != version:
        raise ValueError(f"it is the index of {index.version}")
    return index


def describe(version: str, files: dict[str, Path]) -> Index:
    """The index of files on this machine."""
    return Index(version=version, files=tuple(_file(name, files[name]) for name in sorted(files)))


def pieces(path: Path) -> Iterator[bytes]:
    """A file's contents, part by part."""
    with path.open("rb") as opened:
        while piece := opened.read(PART_BYTES):
            yield piece


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file(name: str, path: Path) -> File:
    whole = hashlib.sha256()
    parts = []
    for piece in pieces(path):
        whole.update(piece)
        parts.append(Part(sha256=sha256(piece), size=len(piece)))
    size = sum(part.size for part in parts)
    return File(name=name, sha256=whole.hexdigest(), size=size, parts=tuple(parts))
