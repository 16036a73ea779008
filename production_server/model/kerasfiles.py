"""Keras and its model files: choosing the backend, loading safely, saving, and checking shapes.

Code that needs Keras gets it from `keras_module()`, which chooses the backend. The web process
never calls it, and so never loads Keras.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from production_server.errors import ModelError
from production_server.model import unpacking
from production_server.model.without_scipy import scipy_may_be_absent

if TYPE_CHECKING:
    import keras

# What Keras, h5py and zipfile raise for damaged files and for files of another format.
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    OSError,
    AttributeError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
)
_CODE_LAYERS = ("Lambda", "TFOpLambda", "SlicingOpLambda")
# What a model of ours is made of. Other parts of Keras read files and open URLs.
_MODEL_PACKAGES = re.compile(
    r"(tf_)?keras"
    r"(\.src)?"
    r"(\.(activations|constraints|dtype_policies|engine|initializers|layers|models|ops|quantizers"
    r"|regularizers|saving|mixed_precision)(\..+)?)?"
)


def backend() -> str:
    """The backend that Keras uses: KERAS_BACKEND, by default jax."""
    # Keras reads only the environment, on its first import.
    return os.environ.setdefault("KERAS_BACKEND", "jax")


def keras_module() -> ModuleType:
    """Import Keras with its backend."""
    try:
        if backend() == "jax":
            jax_module()
        with scipy_may_be_absent():
            import keras
    except (ImportError, ValueError) as error:
        raise _cannot_start(error) from error
    module: ModuleType = keras
    return module


def jax_module() -> ModuleType:
    """Import jax and make it compute in the calling thread.

    Otherwise each call switches to another thread and back, which takes longer than a small model.
    """
    try:
        import jax
    except ImportError as error:
        raise _cannot_start(error) from error
    # This has an effect only before jax is used for the first time.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    module: ModuleType = jax
    return module


def _cannot_start(error: Exception) -> ModelError:
    return ModelError(
        f"Keras cannot start: {error}",
        "Install the backend that KERAS_BACKEND names (jax, tensorflow or torch).",
    )


def load(path: Path) -> keras.Model:
    """Load a .keras file in safe mode, which never runs code from the file."""
    keras = keras_module()
    try:
        with unpacking.opened(path) as archive:
            config = json.loads(archive.read("config.json"))
            refuse_code(config, path)
            unpacking.refuse_weights(archive, path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"cannot load {path} as a Keras model: {first_line(error)}",
        "The file must be complete and may contain only Keras' own layers.",
    )


def refuse_code(config: Any, path: Path) -> None:
    """Raise ModelError if a model's description would run code other than Keras' own."""
    for part in _parts(config):
        name, module = part["class_name"], part.get("module") or "keras"
        if name in _CODE_LAYERS:
            raise ModelError(
                f"{path} contains a {name} layer, which would run code from the file",
                "Replace it with Keras' own layers and save the model again.",
            )
        if module != "builtins" and not _MODEL_PACKAGES.fullmatch(module):
            raise ModelError(
                f"{path} uses {name} from the module {module}, which is not a part of models",
                "Replace it with Keras' own layers and save the model again.",
            )


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Every object in a model's configuration."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config
        for value in config.values():
            yield from _parts(value)
    elif isinstance(config, list):
        for value in config:
            yield from _parts(value)


def save(model: keras.Model, path: Path) -> None:
    """Write a .keras file for serving, without optimizer and compile settings."""
    keras = keras_module()
    keras.Model(model.inputs[0], model.outputs[0], name=model.name).save(path)


def one_input(model: keras.Model) -> keras.Model:
    """The same model with a single input tensor: its columns feed the inputs in their order."""
    keras = keras_module()
    tensors, outputs = model.inputs or [], model.outputs or []
    if not tensors or len(outputs) != 1 or any(_columns(tensor) is None for tensor in tensors):
        return model  # `widths` raises the error
    # Rebuild it even for one input, because a file can describe that as a list or by name.
    flat = keras.Model(tensors if len(tensors) > 1 else tensors[0], outputs[0], name=model.name)
    if len(tensors) == 1:
        return flat
    ends = list(accumulate(_columns(tensor) or 0 for tensor in tensors))
    row = keras.Input((ends[-1],), name="row")
    parts = [row[:, start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return keras.Model(row, flat(parts), name=f"{model.name}_of_one_row")


def _columns(tensor: keras.KerasTensor) -> int | None:
    shape = tuple(tensor.shape)
    return int(shape[1]) if len(shape) == 2 and shape[1] is not None else None


def widths(model: keras.Model) -> tuple[int, int]:
    """(inputs, outputs) of a tabular model for one row."""
    inputs, outputs = model.inputs or [], model.outputs or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"the model has {len(inputs)} input tensors and {len(outputs)} output tensors",
            "A tabular model has one input tensor (rows, features) and one output tensor.",
        )
    shapes = tuple(inputs[0].shape), tuple(outputs[0].shape)
    if any(len(shape) != 2 or shape[1] is None for shape in shapes):
        raise ModelError(
            f"the model's input has shape {shapes[0]} and its output {shapes[1]}",
            "A tabular model takes (rows, features) and returns (rows, outputs).",
        )
    return int(shapes[0][1]), int(shapes[1][1])


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
