"""Hostile model files: refused before they fill the memory, write elsewhere or read other files."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from production_server.errors import ModelError, RegistryError
from production_server.model.importing import check_folder, read_model
from production_server.model.predictor import Predictor
from production_server.model.registry import SHIPPED, Registry

GOOD = Registry(SHIPPED).model_path("diabetes-1")
# What a refusal may take: the directory of a file, but nothing that is in it.
MOST_MEMORY = 20_000_000


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(GOOD) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def keras_file(folder: Path, **changes: bytes) -> Path:
    """The shipped model with other members."""
    path = folder / "hostile.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (members() | changes).items():
            archive.writestr(name, data)
    return path


def refused(path: Path, words: str, weights: Path | None = None) -> None:
    """Reading it ends soon, with an error that says why."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=words):
            read_model(path, weights)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def test_the_file_that_the_others_are_made_from_is_good(tmp_path: Path) -> None:
    read_model(keras_file(tmp_path))


@pytest.mark.parametrize("member", ["model.weights.h5", "config.json", "metadata.json", "more"])
@pytest.mark.parametrize("version", ["3.12.0", "2.13.0"])
def test_a_bomb(tmp_path: Path, member: str, version: str) -> None:
    metadata = json.dumps({"keras_version": version}).encode()
    path = keras_file(tmp_path, **{"metadata.json": metadata, member: b"\0" * 150_000_000})
    assert path.stat().st_size < 1_000_000
    refused(path, "unpacks to 150,.*too large")


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "assets/../../evil", "..\\evil", "assets\\..\\evil"]
)
def test_members_outside(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    refused(keras_file(inside, **{name: b"x"}), "no model needs")
    assert not list(tmp_path.rglob("evil"))


def test_a_link(tmp_path: Path) -> None:
    path = keras_file(tmp_path)
    link = zipfile.ZipInfo("assets/link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(path, "contains 'assets/link'")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice(tmp_path: Path) -> None:
    """Two readers could take different ones: the check one, Keras the other."""
    path = keras_file(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", b"{}")
    refused(path, "a member twice")


@pytest.mark.parametrize("count", [1500, 30_000, 70_000], ids=str)
def test_too_many_members(tmp_path: Path, count: int) -> None:
    """Also so many that reading their directory takes long; the last needs a ZIP64 record."""
    path = tmp_path / "many.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    refused(path, "more than 1,000 members")


def test_a_comment_that_could_hide_another_directory(tmp_path: Path) -> None:
    path = keras_file(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"x" * 40
    refused(path, "not a ZIP file")


def test_a_description_that_is_nested_too_deeply(tmp_path: Path) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    refused(keras_file(tmp_path, **{"config.json": deep}), "recursion")


@pytest.mark.parametrize("layer", ["Lambda", "TFOpLambda"])
def test_code_in_a_layer(tmp_path: Path, layer: str) -> None:
    config = json.loads(members()["config.json"])
    config["config"]["layers"][1]["class_name"] = layer
    changed = json.dumps(config).encode()
    refused(keras_file(tmp_path, **{"config.json": changed}), f"contains a {layer} layer")


def test_a_pickle_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    refused(path, "not a ZIP file")
    assert not (tmp_path / "ran").exists()


def larger_than_any_disk(file: Any, _: Path) -> None:
    file.create_dataset("x", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,), compression="gzip")


def never_written(file: Any, _: Path) -> None:
    file.create_dataset("x", shape=(1 << 33,), dtype="f4")


def another_file_as_data(file: Any, folder: Path) -> None:
    (folder / "secret").write_bytes(b"s" * 400)
    file.create_dataset("x", shape=(100,), dtype="f4", external=[(str(folder / "secret"), 0, 400)])


def another_file_as_view(file: Any, folder: Path) -> None:
    layout = h5py.VirtualLayout(shape=(100,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", shape=(100,))
    file.create_virtual_dataset("x", layout)


def a_link_elsewhere(file: Any, folder: Path) -> None:
    file.create_group("layers2")["x"] = h5py.ExternalLink(str(folder / "other.h5"), "/x")


def a_link_to_itself(file: Any, _: Path) -> None:
    file["x"] = h5py.SoftLink("/x")


HARMS = [
    larger_than_any_disk,
    never_written,
    another_file_as_data,
    another_file_as_view,
    a_link_elsewhere,
    a_link_to_itself,
]
HDF5 = r"too large|from another file|contains the link"


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("version", ["3.12.0", "2.13.0"])
def test_hostile_weights(tmp_path: Path, harm: Callable[[Any, Path], None], version: str) -> None:
    weights = tmp_path / "w.h5"
    weights.write_bytes(members()["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        harm(file, tmp_path)
    metadata = json.dumps({"keras_version": version}).encode()
    changes = {"model.weights.h5": weights.read_bytes(), "metadata.json": metadata}
    refused(keras_file(tmp_path, **changes), HDF5)


@pytest.mark.parametrize("harm", HARMS)
def test_a_hostile_hdf5_file(tmp_path: Path, harm: Callable[[Any, Path], None]) -> None:
    """Alone, and beside the model.json that describes it."""
    description, path = tmp_path / "model.json", tmp_path / "model.h5"
    description.write_bytes(members()["config.json"])
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = description.read_text()
        harm(file.create_group("model_weights"), tmp_path)
    refused(path, HDF5)
    refused(description, HDF5, path)


def test_groups_that_contain_each_other_end_too(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group["again"] = file
        group.create_dataset("x", data=np.zeros(3))
    refused(path, "without a description")


# A file that is not the one of its card is not opened at all.


@pytest.fixture
def swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry whose model file was replaced after its card was written."""
    registry = Registry(tmp_path / "models")
    registry.seed()
    registry.model_path("diabetes-1").write_bytes(GOOD.read_bytes() + b" ")
    for module, name in ((zipfile, "ZipFile"), (h5py, "File")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("it was opened"))
    return registry


def test_a_file_that_is_not_its_cards_is_not_opened(swapped: Registry, tmp_path: Path) -> None:
    folder = swapped.path / "diabetes-1"
    other = Registry(tmp_path / "other")
    attempts: list[Callable[[], object]] = [
        lambda: Predictor.load(swapped, "diabetes-1"),
        lambda: swapped.activate("diabetes-1"),
        lambda: check_folder(folder),
        lambda: other.add_folder(folder),
    ]
    for attempt in attempts:
        with pytest.raises(RegistryError, match="damaged or was changed"):
            attempt()
    assert other.versions() == []


def test_that_would_notice_a_file_that_is_opened(swapped: Registry) -> None:
    path = swapped.model_path("diabetes-1")
    path.write_bytes(GOOD.read_bytes())
    with pytest.raises(pytest.fail.Exception, match="it was opened"):
        Predictor.load(swapped, "diabetes-1")
