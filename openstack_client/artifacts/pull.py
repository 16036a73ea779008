"""Fetches a version from a store into a folder, which appears when everything in it is checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO

from openstack_client.artifacts import index as indexes
from openstack_client.artifacts.index import File, Index, Part
from openstack_client.artifacts.read import read_index
from openstack_client.artifacts.store import Store
from openstack_client.errors import Busy, SettingsError, StoreError


def pull(store: Store, version: str, target: Path, moved: Callable[[int, int], None]) -> Index:
    """Fetch it into `target`, which must not exist. What an earlier pull fetched is kept."""
    if target.exists() or target.is_symlink():
        raise SettingsError(f"{target} exists already.", "Choose another folder with --output.")
    index = read_index(store, version)
    if index is None:
        raise StoreError(f"The store has no {version}.", "`models list` shows what it has.")
    part = target.with_name(f"{target.name}.part")
    try:
        with _alone(part):
            _fetch_all(store, index, part, moved)
            _forget_others(part, index)
            part.rename(target)
    except OSError as error:
        raise SettingsError(
            f"Cannot write {part}: {error.strerror}.", "Choose another folder with --output."
        ) from error
    return index


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second pull out of the folder. The lock ends with the process."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"Another pull is writing {folder}.", "Wait until it ends.") from error
        yield
    finally:
        os.close(handle)


def _fetch_all(store: Store, index: Index, folder: Path, moved: Callable[[int, int], None]) -> None:
    done = 0

    def add(size: int) -> None:
        nonlocal done
        done += size
        moved(done, index.size)

    for file in index.files:
        _fetch(store, index.version, file, folder / file.name, add)


def _fetch(store: Store, version: str, file: File, path: Path, add: Callable[[int], None]) -> None:
    """Fetch a file: part by part, from where an earlier pull ended."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "r+b") as out:
        whole = hashlib.sha256()
        for part in file.parts:
            content = _part(store, version, file, part, out)
            whole.update(content)
            add(part.size)
        out.truncate()
        if whole.hexdigest() != file.sha256:
            out.truncate(0)
            raise _damaged(version, file, indexes.key_of(version))
        out.flush()
        os.fsync(out.fileno())


def _part(store: Store, version: str, file: File, part: Part, out: IO[bytes]) -> bytes:
    """One part, checked. The file's position is after it."""
    start = out.tell()
    content = out.read(part.size)
    if indexes.sha256(content) == part.sha256:
        return content
    if len(content) == part.size:
        content = b""
    out.seek(start + len(content))
    out.truncate()
    fetched = _continued(store, version, file, part, content, out)
    if indexes.sha256(fetched) != part.sha256 and content:
        # Perhaps what was here is damaged, and not the store's object.
        out.seek(start)
        out.truncate()
        fetched = _continued(store, version, file, part, b"", out)
    if indexes.sha256(fetched) != part.sha256:
        out.truncate(start)
        raise _damaged(version, file, part.key)
    return fetched


def _continued(
    store: Store, version: str, file: File, part: Part, content: bytes, out: IO[bytes]
) -> bytes:
    """The whole part: what is here, and the rest from the store, written as it arrives."""
    chunks = store.get(part.key, len(content))
    if chunks is None:
        raise StoreError(
            f"The store lacks a part of {file.name} of {version}: {part.key}.",
            "Push the version again from where you have it.",
        )
    received = bytearray(content)
    for arrived in chunks:
        chunk = arrived[: part.size + 1 - len(received)]
        out.write(chunk)
        received += chunk
        out.flush()
        if len(received) > part.size:
            break
    return bytes(received)


def _damaged(version: str, file: File, key: str) -> StoreError:
    return StoreError(
        f"{file.name} of {version} is damaged in the store: {key} has another SHA-256.",
        "Push the version again from where you have it; that replaces the object.",
    )


def _forget_others(folder: Path, index: Index) -> None:
    """Remove what an earlier pull of other content left."""
    for path in folder.iterdir():
        if path.name not in {file.name for file in index.files}:
            path.unlink()
