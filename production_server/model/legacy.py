"""Reads models of Keras 1 and 2: one HDF5 file, model.json with model.h5, or .keras.

Description and weights are joined into one HDF5 file, which Keras 3 can still read. The description
is first converted to the form of Keras 2.2 to 2.12, because older and newer releases differ.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from production_server.errors import ModelError
from production_server.model import kerasfiles, unpacking

if TYPE_CHECKING:
    import h5py
    import keras

# Keys that tf-keras 2.13 and later write. Keras 3 does not accept them in an HDF5 file.
_NEWER_KEYS = frozenset({"module", "registered_name", "build_config"})
_WEIGHTS = "model_weights"


def load_hdf5(path: Path) -> keras.Model:
    """Load a whole model from an .h5 file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            unpacking.refuse_hdf5(file, path)
            text = file.attrs.get("model_config")
            if text is None:
                raise ModelError(
                    f"{path} contains weights only, without a description of the model",
                    "Pass the description too: models import model.json model.h5",
                )
            if _WEIGHTS not in file:
                raise ModelError(f"{path} contains no weights", "Save the whole model again.")
            return _load_joined(_parse_description(text, path), file[_WEIGHTS])
    except kerasfiles.UNREADABLE as error:
        raise kerasfiles.unreadable(path, error) from error


def load_archive(path: Path) -> keras.Model:
    """Load a model from a .keras file of Keras 2."""
    try:
        with unpacking.opened(path) as archive:
            unpacking.refuse_weights(archive, path)
            config = normalize(_parse_description(archive.read("config.json"), path))
            keras = kerasfiles.keras_module()
            kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
            model = kind.from_config(config["config"])
            with tempfile.TemporaryDirectory() as folder:
                weights = Path(folder) / "model.weights.h5"
                weights.write_bytes(archive.read(weights.name))
                model.load_weights(weights)
            return model
    except kerasfiles.UNREADABLE as error:
        raise kerasfiles.unreadable(path, error) from error


def is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(path))


def is_archive(path: Path) -> bool:
    """Whether a file is a .keras file of Keras 2."""
    try:
        with unpacking.opened(path) as archive:
            version = json.loads(archive.read("metadata.json")).get("keras_version", "")
    except kerasfiles.UNREADABLE:
        return False
    return str(version).startswith("2.")


def load_pair(description: Path, weights: Path) -> keras.Model:
    """Load a model from a model.json and the weights in a model.h5."""
    import h5py

    try:
        config = _parse_description(description.read_bytes(), description)
        with h5py.File(weights, "r") as file:
            unpacking.refuse_hdf5(file, weights)
            group = file.get(_WEIGHTS, file)
            if "layer_names" in group.attrs:
                return _load_joined(config, group)
        return _load_keras3_pair(config, description, weights)
    except kerasfiles.UNREADABLE as error:
        raise kerasfiles.unreadable(description, error) from error


def _parse_description(text: str | bytes, path: Path) -> dict[str, Any]:
    config = json.loads(text)
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelError(
            f"{path} is not the description of a Keras model",
            "Write it with model.to_json().",
        )
    kerasfiles.refuse_code(config, path)
    return config


def _load_joined(config: dict[str, Any], weights: h5py.Group) -> keras.Model:
    import h5py

    keras = kerasfiles.keras_module()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.h5"
        with h5py.File(whole, "w") as file:
            file.attrs["model_config"] = json.dumps(normalize(config))
            group = file.create_group(_WEIGHTS)
            for name, value in weights.attrs.items():
                group.attrs[name] = value
            for name in weights:
                weights.copy(name, group)
        return keras.saving.load_model(whole, compile=False, safe_mode=True)


def normalize(config: Any) -> Any:
    """Convert a description to the form of Keras 2.2 to 2.12."""
    if isinstance(config, list):
        return [normalize(part) for part in config]
    if not isinstance(config, dict):
        return config
    kind = config.get("class_name")
    if kind == "Sequential":
        config = {**config, "config": _normalize_sequential(config["config"])}
    drop = _NEWER_KEYS if kind else frozenset()
    normal = {key: normalize(value) for key, value in config.items() if key not in drop}
    if kind and kind != "InputLayer" and isinstance(normal.get("config"), dict):
        normal["config"].pop("batch_input_shape", None)  # the input layer has it
    return normal


def _normalize_sequential(config: Any) -> dict[str, Any]:
    """Add a name and an input layer, which the oldest releases did not write."""
    config = {"name": "sequential", "layers": config} if isinstance(config, list) else config
    layers = config.get("layers") or [{}]
    inside = layers[0].get("config", {})
    if layers[0].get("class_name") == "InputLayer" or "batch_input_shape" not in inside:
        return dict(config)
    entry = {
        "class_name": "InputLayer",
        "config": {
            "name": f"{inside.get('name', 'first')}_input",
            "batch_input_shape": inside["batch_input_shape"],
            "dtype": inside.get("dtype", "float32"),
        },
    }
    return {**config, "layers": [entry, *layers]}


def _load_keras3_pair(config: dict[str, Any], description: Path, weights: Path) -> keras.Model:
    """Load the files that to_json() and save_weights() of Keras 3 write."""
    keras = kerasfiles.keras_module()
    if "module" not in config:
        raise ModelError(
            f"{weights} does not contain the weights of {description}",
            "Pass the .h5 file that save_weights() of the same Keras release wrote.",
        )
    model = keras.models.model_from_json(json.dumps(config))
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "model.weights.h5"  # Keras recognizes the format by this name
        shutil.copyfile(weights, named)
        model.load_weights(named)
    return model
