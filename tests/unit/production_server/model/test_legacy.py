"""How descriptions of old models are normalized, and what is refused before Keras reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from production_server.errors import ModelError
from production_server.model.kerasfiles import refuse_code
from production_server.model.legacy import normalize

DENSE = {"class_name": "Dense", "config": {"name": "d", "batch_input_shape": [None, 8]}}


def test_the_oldest_sequential_gets_a_name_and_an_input_layer() -> None:
    made = normalize({"class_name": "Sequential", "config": [DENSE]})
    assert made["config"]["name"] == "sequential"
    first, second = made["config"]["layers"]
    assert first["class_name"] == "InputLayer"
    assert first["config"]["batch_input_shape"] == [None, 8]
    assert second == {"class_name": "Dense", "config": {"name": "d"}}


def test_a_sequential_with_an_input_layer_keeps_it() -> None:
    entry = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 8]}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [entry, DENSE]}}
    layers = normalize(config)["config"]["layers"]
    assert layers == [entry, {"class_name": "Dense", "config": {"name": "d"}}]


def test_newer_keys_are_removed_from_objects_only() -> None:
    newer: dict[str, Any] = {"module": "keras.layers", "registered_name": None, "build_config": {}}
    made = normalize({"class_name": "Model", **newer, "config": {"layers": [{**DENSE, **newer}]}})
    assert made == {
        "class_name": "Model",
        "config": {"layers": [{"class_name": "Dense", "config": {"name": "d"}}]},
    }
    assert normalize({"module": "kept"}) == {"module": "kept"}


@pytest.mark.parametrize(
    "part",
    [
        {"class_name": "Lambda", "config": {}},
        {"class_name": "Dense", "module": "os.path", "config": {}},
        {"class_name": "system", "module": "os", "config": {}},
        {"class_name": "Thing", "module": "keras_evil.layers", "config": {}},
        {"class_name": "get_file", "module": "keras.utils", "config": {}},
        {"class_name": "get_file", "module": "keras.src.utils.file_utils", "config": {}},
    ],
)
def test_code_is_refused_at_any_depth(part: dict[str, Any]) -> None:
    hidden = {"class_name": "Sequential", "config": {"layers": [DENSE, {"deep": [part]}]}}
    with pytest.raises(ModelError, match=r"would run code|not a part of models"):
        refuse_code(hidden, Path("model.json"))


def test_keras_own_layers_are_accepted() -> None:
    refuse_code({"class_name": "Sequential", "module": "keras", "config": [DENSE]}, Path("m"))
