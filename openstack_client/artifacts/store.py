"""What every object store can do. `artifacts/swift.py` and `artifacts/s3.py` implement it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

CHUNK = 256 * 1024


@dataclass(frozen=True)
class Stored:
    """An object in a store."""

    key: str
    size: int
    etag: str
    """The MD5 of its content, unless the store encrypts it with keys of its own."""
    changed: str = ""

    def holds(self, content: bytes) -> bool:
        return self.size == len(content) and self.etag == md5(content)


class Store(Protocol):
    """A container or bucket. Keys are relative to the prefix.

    Every method raises StoreError, CredentialsError or CloudError with a message for the user.
    """

    def put(self, key: str, content: bytes, *, new: bool = False) -> bool:
        """Store an object, whole or not at all. With `new`, False if the key is taken."""
        ...

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """The content from byte `start` on; None if there is no such object."""
        ...

    def head(self, key: str) -> Stored | None:
        """The object, if it is there."""
        ...

    def list(self, prefix: str) -> Iterator[Stored]:
        """All objects whose keys start so, in order."""
        ...


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
