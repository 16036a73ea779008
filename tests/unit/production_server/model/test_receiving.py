"""A registry takes a version from another machine whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from production_server.errors import RegistryError, StackserveError
from production_server.model.card import CARD_FILE, MODEL_FILE
from production_server.model.registry import Registry


@pytest.fixture
def source(tmp_path: Path) -> Registry:
    source = Registry(tmp_path / "source")
    source.seed()
    return source


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def copied(source: Registry, version: str = "diabetes-1") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        shutil.copytree(source.path / version, folder, dirs_exist_ok=True)

    return write


def test_a_version_arrives(source: Registry, registry: Registry) -> None:
    digest = source.digest("diabetes-1")
    registry.receive("diabetes-1", digest, copied(source))
    assert registry.holds("diabetes-1", digest)
    assert sorted(path.name for path in registry.path.iterdir()) == [".lock", "diabetes-1"]


def test_one_that_is_there_is_not_written_again(source: Registry, registry: Registry) -> None:
    registry.receive("diabetes-1", None, copied(source))
    registry.receive("diabetes-1", source.digest("diabetes-1"), lambda _: pytest.fail("written"))
    registry.receive("diabetes-1", None, lambda _: pytest.fail("written"))


def test_other_contents_replace_those_of_the_same_name(
    source: Registry, registry: Registry
) -> None:
    registry.receive("diabetes-1", None, copied(source))
    card = source.path / "diabetes-1" / CARD_FILE
    card.write_text(card.read_text().replace('"target": "', '"target": "another '))
    registry.receive("diabetes-1", source.digest("diabetes-1"), copied(source))
    assert registry.card("diabetes-1").target.startswith("another ")
    assert registry.digest("diabetes-1") == source.digest("diabetes-1")


def damaged(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"not the model")


def without_card(folder: Path) -> None:
    (folder / CARD_FILE).unlink()


def of_another_version(folder: Path) -> None:
    card = folder / CARD_FILE
    card.write_text(card.read_text().replace("diabetes-1", "diabetes-7"))


@pytest.mark.parametrize("harm", [damaged, without_card, of_another_version])
def test_what_is_not_whole_never_appears(
    source: Registry, registry: Registry, harm: Callable[[Path], None]
) -> None:
    def write(folder: Path) -> None:
        copied(source)(folder)
        harm(folder)

    with pytest.raises(StackserveError):
        registry.receive("diabetes-1", None, write)
    assert [path.name for path in registry.path.iterdir()] == [".lock"]


@pytest.mark.parametrize("version", ["../x-1", "..", "", "/tmp/x-1", "active"])
def test_a_version_is_never_a_path(registry: Registry, version: str) -> None:
    with pytest.raises(RegistryError, match="not the name of a version"):
        registry.receive(version, None, lambda _: pytest.fail("written"))


def test_what_a_killed_process_left_is_removed(source: Registry, registry: Registry) -> None:
    left = registry.path / ".scratch-killed" / "diabetes-1"
    left.mkdir(parents=True)
    (left / MODEL_FILE).write_bytes(b"half")
    registry.receive("diabetes-1", None, copied(source))
    assert not left.exists()
