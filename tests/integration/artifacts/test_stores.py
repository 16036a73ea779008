"""The same contract over a real Swift and a real S3 store: push, pull, damage, and races."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openstack_client.artifacts import index as indexes
from openstack_client.artifacts.pull import pull
from openstack_client.artifacts.push import push
from openstack_client.artifacts.read import listing, read_index
from openstack_client.artifacts.store import Store, Stored
from openstack_client.errors import CloudError, StoreError
from tests.integration.artifacts.conftest import Opener, make_version

VERSION = "flowers-2"


class Watched:
    """A store that counts, and whose line breaks after some bytes."""

    def __init__(self, store: Store, breaks_after: int | None = None) -> None:
        self.store = store
        self.left = breaks_after
        self.puts: list[str] = []
        self.gets: list[tuple[str, int]] = []

    def put(self, key: str, content: bytes, *, new: bool = False) -> bool:
        self.puts.append(key)
        return self.store.put(key, content, new=new)

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        self.gets.append((key, start))
        chunks = self.store.get(key, start)
        return None if chunks is None else self._until_it_breaks(chunks)

    def _until_it_breaks(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self.left is not None:
                self.left -= len(chunk)
                if self.left < 0:
                    raise CloudError("The line broke.")
            yield chunk

    def head(self, key: str) -> Stored | None:
        return self.store.head(key)

    def list(self, prefix: str) -> Iterator[Stored]:
        return self.store.list(prefix)


def quiet(done: int, whole: int) -> None:
    assert done <= whole


def model_parts(files: dict[str, Path]) -> tuple[indexes.Part, ...]:
    index = indexes.describe(VERSION, files)
    return next(file.parts for file in index.files if file.name == "model.keras")


def test_what_was_pushed_is_pulled(store: Store, files: dict[str, Path], tmp_path: Path) -> None:
    assert listing(store) == []
    assert push(store, VERSION, files, quiet).added
    (row,) = listing(store)
    assert (row["version"], row["files"]) == (VERSION, ["card.json", "model.keras"])
    pull(store, VERSION, tmp_path / "got", quiet)
    assert {path.name for path in (tmp_path / "got").iterdir()} == set(files)
    for name, path in files.items():
        assert (tmp_path / "got" / name).read_bytes() == path.read_bytes()
    assert not (tmp_path / "got.part").exists()


def test_nothing_is_sent_twice(store: Store, files: dict[str, Path]) -> None:
    push(store, VERSION, files, quiet)
    watched = Watched(store)
    again = push(watched, VERSION, files, quiet)
    assert (watched.puts, again.sent, again.added) == ([], 0, False)
    # Another version with the same model sends nothing but its own index.
    other = push(watched, "flowers-3", files, quiet)
    assert (watched.puts, other.sent) == ([indexes.key_of("flowers-3")], 0)


def test_the_index_is_written_last(store: Store, files: dict[str, Path]) -> None:
    watched = Watched(store)
    push(watched, VERSION, files, quiet)
    assert watched.puts[-1] == indexes.key_of(VERSION)
    assert len(watched.puts) == len(model_parts(files)) + 2


def test_a_taken_name_is_refused(store: Store, files: dict[str, Path]) -> None:
    push(store, VERSION, files, quiet)
    before = read_index(store, VERSION)
    files["model.keras"].write_bytes(b"another model")
    with pytest.raises(StoreError, match=r"another flowers-2: model\.keras"):
        push(store, VERSION, files, quiet)
    assert read_index(store, VERSION) == before


@pytest.mark.parametrize("damage", ["other bytes", "cut off"])
def test_a_damaged_object_is_refused_and_repaired(
    damage: str, store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    push(store, VERSION, files, quiet)
    part = model_parts(files)[1]
    store.put(part.key, b"x" * (part.size if damage == "other bytes" else 1000))
    with pytest.raises(StoreError, match=f"model.keras of flowers-2 is damaged.*{part.sha256}"):
        pull(store, VERSION, tmp_path / "got", quiet)
    assert not (tmp_path / "got").exists()
    assert push(store, VERSION, files, quiet).sent == part.size
    watched = Watched(store)
    pull(watched, VERSION, tmp_path / "got", quiet)
    assert (tmp_path / "got" / "model.keras").read_bytes() == files["model.keras"].read_bytes()
    # The part before the damaged one was there already.
    assert model_parts(files)[0].key not in [key for key, _ in watched.gets]


def test_a_missing_object_and_a_damaged_index_are_named(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="has no flowers-2"):
        pull(store, VERSION, tmp_path / "got", quiet)
    store.put(indexes.key_of(VERSION), indexes.describe(VERSION, files).encode())
    with pytest.raises(StoreError, match=r"lacks a part of card\.json"):
        pull(store, VERSION, tmp_path / "got", quiet)
    store.put(indexes.key_of(VERSION), b'{"version": "flowers-2"')
    with pytest.raises(StoreError, match="index of flowers-2 is damaged"):
        pull(store, VERSION, tmp_path / "got", quiet)
    (row,) = listing(store)
    assert "damaged" in row["error"]
    assert not (tmp_path / "got").exists()


def test_a_pull_continues_in_the_middle_of_a_part(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    push(store, VERSION, files, quiet)
    with pytest.raises(CloudError, match="line broke"):
        pull(Watched(store, breaks_after=11_000_000), VERSION, tmp_path / "got", quiet)
    assert not (tmp_path / "got").exists()
    there = (tmp_path / "got.part" / "model.keras").stat().st_size
    watched = Watched(store)
    pull(watched, VERSION, tmp_path / "got", quiet)
    parts = model_parts(files)
    assert watched.gets[1:] == [(parts[1].key, there - parts[0].size), (parts[2].key, 0)]
    assert (tmp_path / "got" / "model.keras").read_bytes() == files["model.keras"].read_bytes()


def test_garbage_in_the_part_file_is_replaced(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    push(store, VERSION, files, quiet)
    (tmp_path / "got.part").mkdir()
    (tmp_path / "got.part" / "model.keras").write_bytes(b"garbage" * 1000)
    (tmp_path / "got.part" / "features.toml").write_bytes(b"of another version")
    pull(store, VERSION, tmp_path / "got", quiet)
    assert {path.name for path in (tmp_path / "got").iterdir()} == set(files)
    assert (tmp_path / "got" / "model.keras").read_bytes() == files["model.keras"].read_bytes()


def test_of_two_pushes_at_once_one_wins(opener: Opener, tmp_path: Path) -> None:
    barrier = threading.Barrier(2)
    pushed: list[str] = []
    refused: list[str] = []
    versions = {name: make_version(tmp_path / name, megabytes=1) for name in ("one", "two")}

    def run(name: str) -> None:
        store = opener()
        barrier.wait()
        try:
            push(store, VERSION, versions[name], quiet)
            pushed.append(name)
        except StoreError as error:
            assert "another flowers-2" in error.what
            refused.append(name)

    threads = [threading.Thread(target=run, args=[name]) for name in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(pushed), len(refused)) == (1, 1)
    assert read_index(opener(), VERSION) == indexes.describe(VERSION, versions[pushed[0]])
