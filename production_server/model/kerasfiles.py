"""Keras model files: choosing the backend, reading safely, saving, and their widths.

Everything that needs Keras asks `keras_module()` for it, so that the backend is chosen once and
the web process, which never calls it, stays free of Keras.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from production_server.errors import ModelError

if TYPE_CHECKING:
    import keras


def keras_module() -> ModuleType:
    """Keras, on jax unless KERAS_BACKEND says otherwise."""
    # Keras takes its backend from the environment alone, and at its first import.
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError as error:
        raise ModelError(
            f"Keras cannot start: {error}",
            "Install the backend that KERAS_BACKEND names (jax, tensorflow or torch).",
        ) from error
    module: ModuleType = keras
    return module


def load(path: Path) -> keras.Model:
    """The model in a .keras file, in safe mode: no code from the file is ever run."""
    keras = keras_module()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, AttributeError) as error:
        raise ModelError(
            f"{path} cannot be loaded as a Keras model: {first_line(error)}",
            "It must be whole and use Keras' own layers, without Lambda layers or custom code.",
        ) from error


def save(model: keras.Model, path: Path) -> None:
    """Write a .keras file of what serving needs: no optimizer, no compile settings."""
    keras = keras_module()
    keras.Model(model.inputs[0], model.outputs[0], name=model.name).save(path)


def widths(model: keras.Model) -> tuple[int, int]:
    """(numbers in, numbers out) for a row of a tabular model."""
    inputs, outputs = model.inputs or [], model.outputs or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"the model has {len(inputs)} inputs and {len(outputs)} outputs",
            "A tabular model has one input tensor (rows, features) and one output tensor.",
        )
    shapes = tuple(inputs[0].shape), tuple(outputs[0].shape)
    if any(len(shape) != 2 or shape[1] is None for shape in shapes):
        raise ModelError(
            f"the model's shapes are {shapes[0]} in and {shapes[1]} out",
            "A tabular model takes (rows, features) and gives (rows, outputs).",
        )
    return int(shapes[0][1]), int(shapes[1][1])


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
