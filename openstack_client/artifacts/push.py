"""Sends a version to a store: first the parts it lacks, then the index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openstack_client.artifacts import index as indexes
from openstack_client.artifacts.index import Index
from openstack_client.artifacts.read import read_index
from openstack_client.artifacts.store import Store
from openstack_client.errors import SettingsError, StoreError


@dataclass(frozen=True)
class Pushed:
    """What a push did."""

    index: Index
    sent: int
    """Bytes sent; the rest was there."""
    added: bool
    """Whether the version is new in the store."""


def push(
    store: Store, version: str, files: dict[str, Path], moved: Callable[[int, int], None]
) -> Pushed:
    """Send it; `moved` gets the bytes that are in the store and those of the version."""
    index = indexes.describe(version, files)
    there = read_index(store, version)
    refuse_other(index, there)
    sent = done = 0
    for file in index.files:
        for part, piece in zip(file.parts, indexes.pieces(files[file.name]), strict=False):
            if indexes.sha256(piece) != part.sha256:
                raise SettingsError(f"{file.name} changed meanwhile.", "Push it again.")
            found = store.head(part.key)
            if found is None or not found.holds(piece):
                store.put(part.key, piece)
                sent += part.size
            done += part.size
            moved(done, index.size)
    added = there is None and store.put(indexes.key_of(version), index.encode(), new=True)
    # Somebody else may have been faster, and not every store knows the condition.
    now = read_index(store, version)
    if now is None:
        raise StoreError(f"The store lost the index of {version}.", "Push it again.")
    refuse_other(index, now)
    return Pushed(index, sent, added)


def refuse_other(mine: Index, there: Index | None) -> None:
    """Raise StoreError if the version's name is taken by other content."""
    if there is None or there == mine:
        return
    theirs = {file.name: file.sha256 for file in there.files}
    own = {file.name: file.sha256 for file in mine.files}
    names = sorted(name for name in theirs | own if theirs.get(name) != own.get(name))
    raise StoreError(
        f"The store has another {mine.version}: {', '.join(names)} differ.",
        "Give yours another name with --as VERSION.",
    )
