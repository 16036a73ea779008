"""Reads the indexes of a store."""

from __future__ import annotations

from typing import Any

from openstack_client.artifacts import index as indexes
from openstack_client.artifacts.index import Index
from openstack_client.artifacts.store import Store
from openstack_client.errors import StoreError


def read_index(store: Store, version: str) -> Index | None:
    """The version's index, checked; None if the store does not have the version."""
    chunks = store.get(indexes.key_of(version))
    if chunks is None:
        return None
    content = b""
    for chunk in chunks:
        content += chunk
        if len(content) > indexes.INDEX_BYTES:
            break
    try:
        return indexes.decode(content, version)
    except ValueError as error:
        raise StoreError(
            f"The store's index of {version} is damaged ({error}).",
            f"Delete the object {indexes.key_of(version)}, and push the version again.",
        ) from error


def listing(store: Store) -> list[dict[str, Any]]:
    """Every version, with its size and when it was pushed. A damaged index has an error."""
    rows = []
    for stored in store.list(indexes.VERSIONS):
        version = indexes.version_of(stored.key)
        if version is None:
            continue
        row: dict[str, Any] = {"version": version, "pushed": stored.changed}
        try:
            index = read_index(store, version)
        except StoreError as error:
            rows.append(row | {"error": error.what})
            continue
        if index is not None:
            names = [file.name for file in index.files]
            rows.append(row | {"bytes": index.size, "files": names})
    return rows
