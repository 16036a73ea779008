"""In a container the model is part of the image: a new image's model is served, but only once."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.errors import RegistryError
from production_server.model.registry import Registry
from tests.unit.production_server.model.test_registry import CARD


def loads(_version: str) -> None:
    """A worker loads the version, and nothing is wrong with it."""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def image_with(folder: Path, contents: bytes) -> Path:
    """The shipped models of an image."""
    file = folder.with_suffix(".keras")
    file.write_bytes(contents)
    Registry(folder).add(CARD, file)
    return folder


def test_an_empty_registry_serves_the_model_of_the_image(
    tmp_path: Path, registry: Registry
) -> None:
    registry.serve_shipped(loads, image_with(tmp_path / "one", b"one"))
    assert (registry.versions(), registry.active()) == (["toy-1"], "toy-1")


def test_another_image_brings_its_model_and_leaves_the_old_one(
    tmp_path: Path, registry: Registry
) -> None:
    one, other = image_with(tmp_path / "one", b"one"), image_with(tmp_path / "other", b"other")
    registry.serve_shipped(loads, one)
    registry.serve_shipped(loads, other)
    # Both call it toy-1, so it gets the next number.
    assert (registry.versions(), registry.active()) == (["toy-1", "toy-2"], "toy-2")


def test_the_image_before_takes_its_model_back(tmp_path: Path, registry: Registry) -> None:
    one, other = image_with(tmp_path / "one", b"one"), image_with(tmp_path / "other", b"other")
    for image in (one, other, one):
        registry.serve_shipped(loads, image)
    assert (registry.versions(), registry.active()) == (["toy-1", "toy-2"], "toy-1")


def test_a_restart_keeps_what_was_activated_since(tmp_path: Path, registry: Registry) -> None:
    image = image_with(tmp_path / "one", b"one")
    registry.serve_shipped(loads, image)
    (tmp_path / "own.keras").write_bytes(b"own")
    own = registry.add(CARD, tmp_path / "own.keras", activate=True)
    registry.serve_shipped(loads, image)
    assert registry.active() == own.version


def test_without_it_a_registry_is_left_alone(tmp_path: Path, registry: Registry) -> None:
    registry.seed(image_with(tmp_path / "one", b"one"))
    registry.seed(image_with(tmp_path / "other", b"other"))
    assert registry.versions() == ["toy-1"]


def test_a_model_is_loaded_before_it_is_served(tmp_path: Path, registry: Registry) -> None:
    registry.serve_shipped(loads, image_with(tmp_path / "one", b"one"))
    loaded: list[tuple[str, str]] = []
    registry.serve_shipped(
        lambda version: loaded.append((version, registry.active())),
        image_with(tmp_path / "other", b"other"),
    )
    assert loaded == [("toy-2", "toy-1")]


def test_a_model_that_does_not_load_is_not_served(tmp_path: Path, registry: Registry) -> None:
    registry.serve_shipped(loads, image_with(tmp_path / "one", b"one"))
    broken = image_with(tmp_path / "broken", b"no model")

    def load(_version: str) -> None:
        raise RegistryError("it does not load")

    # The container starts again and again.
    for _ in range(2):
        with pytest.raises(RegistryError, match="does not load"):
            registry.serve_shipped(load, broken)
        assert registry.active() == "toy-1"
