"""Indexes: what they list, that they are stable, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openstack_client.artifacts import index as indexes
from openstack_client.artifacts.push import refuse_other
from openstack_client.errors import StoreError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "model.keras").write_bytes(b"m" * (indexes.PART_BYTES + 5))
    (tmp_path / "card.json").write_text("{}")
    return {name: tmp_path / name for name in ("model.keras", "card.json")}


def test_the_same_files_give_the_same_index(files: dict[str, Path]) -> None:
    index = indexes.describe("flowers-2", files)
    again = indexes.describe("flowers-2", dict(reversed(files.items())))
    assert index.encode() == again.encode()
    assert indexes.decode(index.encode(), "flowers-2") == index
    card, model = index.files
    assert (card.name, model.name) == ("card.json", "model.keras")
    assert [part.size for part in model.parts] == [indexes.PART_BYTES, 5]
    assert model.parts[1].sha256 == indexes.sha256(b"mmmmm")
    assert model.parts[1].key.endswith(f"/{model.parts[1].sha256}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "../card.json"}, "does not belong to a model"),
        ({"size": 3}, "do not add up"),
        ({"sha256": "../../etc"}, "sha256"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_file_is_refused(
    change: dict[str, object], reason: str, files: dict[str, Path]
) -> None:
    content = json.loads(indexes.describe("flowers-2", files).encode())
    content["files"][0].update(change)
    with pytest.raises(ValueError, match=reason):
        indexes.decode(json.dumps(content).encode(), "flowers-2")


def test_an_index_of_another_version_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="index of flowers-3"):
        indexes.decode(indexes.describe("flowers-3", files).encode(), "flowers-2")


def test_a_file_listed_twice_is_refused(files: dict[str, Path]) -> None:
    content = json.loads(indexes.describe("flowers-2", files).encode())
    content["files"].append(content["files"][0])
    with pytest.raises(ValueError, match="twice"):
        indexes.decode(json.dumps(content).encode(), "flowers-2")


def test_only_indexes_have_versions() -> None:
    assert indexes.version_of(indexes.key_of("flowers-2")) == "flowers-2"
    assert indexes.version_of("versions/readme.json") is None
    assert indexes.version_of("objects/ab/flowers-2.json") is None


def test_other_content_is_named(files: dict[str, Path]) -> None:
    mine = indexes.describe("flowers-2", files)
    refuse_other(mine, None)
    refuse_other(mine, mine)
    del files["card.json"]
    with pytest.raises(StoreError, match=r"another flowers-2: card\.json differ"):
        refuse_other(mine, indexes.describe("flowers-2", files))
