"""The registry: versions appear complete, and damaged ones are refused."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from production_server.errors import CardError, RegistryError
from production_server.model.card import Card, Feature
from production_server.model.registry import SHIPPED, Registry

CARD = Card(
    name="toy",
    version="toy-1",
    kind="regression",
    target="Sum",
    features=[Feature(name="a", low=0, high=1, default=0.5)],
)


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "anything.keras"
    path.write_bytes(b"a model")
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def test_an_empty_registry_has_no_active_version(registry: Registry) -> None:
    assert registry.versions() == []
    with pytest.raises(RegistryError, match="no version is active") as caught:
        registry.active()
    assert "activate" in caught.value.remedy


def test_numbers_increase_and_sort_as_numbers(registry: Registry, model_file: Path) -> None:
    names = [registry.add(CARD, model_file).version for _ in range(11)]
    assert names == [f"toy-{number}" for number in range(1, 12)]
    assert registry.versions() == names
    assert registry.card("toy-11").version == "toy-11"


def test_activation(registry: Registry, model_file: Path) -> None:
    registry.add(CARD, model_file)
    registry.add(CARD, model_file, activate=True)
    assert registry.active() == "toy-2"
    registry.activate("toy-1")
    assert registry.active() == "toy-1"


def test_seeding_fills_an_empty_registry_once(registry: Registry) -> None:
    registry.seed()
    shipped = Registry(SHIPPED).versions()
    assert registry.versions() == shipped
    assert registry.active() == shipped[-1]
    assert registry.checked_model_path(shipped[-1]).is_file()
    before = sorted(path.name for path in registry.path.iterdir())
    registry.seed()
    assert sorted(path.name for path in registry.path.iterdir()) == before


def test_a_damaged_shipped_model_is_refused(registry: Registry, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(SHIPPED, shipped)
    version = Registry(shipped).versions()[-1]
    with Registry(shipped).model_path(version).open("ab") as file:
        file.write(b"!")
    with pytest.raises(RegistryError, match="damaged or was changed"):
        registry.seed(shipped)
    assert registry.versions() == []


def test_seeding_keeps_the_active_model(registry: Registry, model_file: Path) -> None:
    registry.add(CARD, model_file, activate=True)
    registry.seed()
    assert registry.versions() == ["toy-1"]
    assert registry.active() == "toy-1"


def test_a_changed_model_file_is_refused(registry: Registry, model_file: Path) -> None:
    version = registry.add(CARD, model_file).version
    registry.model_path(version).write_bytes(b"another model")
    with pytest.raises(RegistryError, match="damaged or was changed"):
        registry.checked_model_path(version)
    with pytest.raises(RegistryError, match="damaged or was changed"):
        registry.activate(version)


def test_a_missing_model_file_is_reported(registry: Registry, model_file: Path) -> None:
    version = registry.add(CARD, model_file).version
    registry.model_path(version).unlink()
    with pytest.raises(RegistryError, match="cannot read the model file"):
        registry.checked_model_path(version)


def test_the_active_version_is_not_deleted(registry: Registry, model_file: Path) -> None:
    registry.add(CARD, model_file, activate=True)
    with pytest.raises(RegistryError, match="it is active"):
        registry.delete("toy-1")
    registry.add(CARD, model_file)
    registry.delete("toy-2")
    assert registry.versions() == ["toy-1"]


@pytest.mark.parametrize("version", ["..", "../registry", "/etc", "", "toy-9", ".lock"])
def test_a_version_is_never_a_path(registry: Registry, model_file: Path, version: str) -> None:
    registry.add(CARD, model_file, activate=True)
    for act in (registry.card, registry.model_path, registry.activate, registry.delete):
        with pytest.raises(RegistryError, match="has no version"):
            act(version)
    assert registry.active() == "toy-1"


def test_a_renamed_folder_is_refused(registry: Registry, model_file: Path) -> None:
    registry.add(CARD, model_file)
    (registry.path / "toy-1").rename(registry.path / "toy-2")
    with pytest.raises(RegistryError, match="contains the card of toy-1"):
        registry.card("toy-2")


def test_a_broken_card_is_reported(registry: Registry, model_file: Path) -> None:
    registry.add(CARD, model_file)
    (registry.path / "toy-1" / "card.json").write_text("{", encoding="utf-8")
    with pytest.raises(CardError, match="not valid"):
        registry.card("toy-1")


def test_a_version_folder_of_another_registry(
    registry: Registry, model_file: Path, tmp_path: Path
) -> None:
    other = Registry(tmp_path / "other")
    other.add(CARD, model_file)
    folder = other.path / "toy-1"
    assert registry.add_folder(folder, activate=True).version == "toy-1"
    assert registry.add_folder(folder).version == "toy-1", "the same model twice is one version"
    model_file.write_bytes(b"a better model")
    other.delete("toy-1")
    other.add(CARD, model_file)
    assert registry.add_folder(folder).version == "toy-2", "another model gets another number"
    assert registry.active() == "toy-1"
    other.model_path("toy-1").write_bytes(b"damaged")
    with pytest.raises(RegistryError, match="damaged"):
        registry.add_folder(folder)


def test_concurrent_writers_get_different_numbers(registry: Registry, model_file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(lambda _: Registry(registry.path).add(CARD, model_file), range(24)))
    assert sorted(card.version for card in kept) == sorted(registry.versions())
    assert len(registry.versions()) == 24
    assert not list(registry.path.glob(".scratch-*"))


def test_leftovers_of_a_killed_writer_are_deleted(registry: Registry, model_file: Path) -> None:
    left = registry.path / ".scratch-killed" / "toy-1"
    left.mkdir(parents=True)
    assert registry.versions() == []
    registry.add(CARD, model_file, activate=True)
    assert sorted(path.name for path in registry.path.iterdir()) == [".lock", "active", "toy-1"]


def test_concurrent_seeding(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Registry(registry.path).seed(), range(8)))
    assert registry.versions() == Registry(SHIPPED).versions()


def test_a_reader_never_sees_half_an_activation(registry: Registry, model_file: Path) -> None:
    registry.add(CARD, model_file, activate=True)
    registry.add(CARD, model_file)
    stop = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(registry.active())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(60):
            registry.activate(f"toy-{number % 2 + 1}")
    finally:
        stop.set()
        reader.join()
    assert seen == {"toy-1", "toy-2"}


def test_a_registry_that_cannot_be_written(tmp_path: Path, model_file: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(RegistryError, match="cannot write to the registry") as caught:
        Registry(tmp_path / "file" / "registry").add(CARD, model_file)
    assert "STACKSERVE_REGISTRY" in caught.value.remedy
