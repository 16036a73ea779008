"""In a container the model is part of the image: a new image's model is served, but only once."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.model.registry import Registry
from tests.unit.production_server.model.test_registry import CARD


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
    registry.seed(image_with(tmp_path / "one", b"one"), serve=True)
    assert (registry.versions(), registry.active()) == (["toy-1"], "toy-1")


def test_another_image_brings_its_model_and_leaves_the_old_one(
    tmp_path: Path, registry: Registry
) -> None:
    one, other = image_with(tmp_path / "one", b"one"), image_with(tmp_path / "other", b"other")
    registry.seed(one, serve=True)
    registry.seed(other, serve=True)
    # Both call it toy-1, so it gets the next number.
    assert (registry.versions(), registry.active()) == (["toy-1", "toy-2"], "toy-2")


def test_the_image_before_takes_its_model_back(tmp_path: Path, registry: Registry) -> None:
    one, other = image_with(tmp_path / "one", b"one"), image_with(tmp_path / "other", b"other")
    for image in (one, other, one):
        registry.seed(image, serve=True)
    assert (registry.versions(), registry.active()) == (["toy-1", "toy-2"], "toy-1")


def test_a_restart_keeps_what_was_activated_since(tmp_path: Path, registry: Registry) -> None:
    image = image_with(tmp_path / "one", b"one")
    registry.seed(image, serve=True)
    (tmp_path / "own.keras").write_bytes(b"own")
    own = registry.add(CARD, tmp_path / "own.keras", activate=True)
    registry.seed(image, serve=True)
    assert registry.active() == own.version


def test_without_it_a_registry_is_left_alone(tmp_path: Path, registry: Registry) -> None:
    registry.seed(image_with(tmp_path / "one", b"one"))
    registry.seed(image_with(tmp_path / "other", b"other"))
    assert registry.versions() == ["toy-1"]
