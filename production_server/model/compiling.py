"""The program that compiles one version of a model for `compiled`, and ends.

python -m production_server.model.compiling REGISTRY VERSION FILE
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np

from production_server.batch_sizes import BATCH_SIZES
from production_server.errors import StackserveError
from production_server.model import kerasfiles
from production_server.model.predictor import Predictor, jitted
from production_server.model.registry import Registry


def main(registry: Registry, version: str, file: Path) -> None:
    """Leave the machine code in `file`, unless another process has just done so."""
    with (file.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            return
        fresh = file.with_name(f".fresh-{os.getpid()}")
        fresh.write_bytes(machine_code(registry, version))
        fresh.replace(file)
        remove_stale(registry, file)


def machine_code(registry: Registry, version: str) -> bytes:
    """The forward pass for each batch size, as `compiled` reads it."""
    jax = kerasfiles.jax_module()
    # What comes from jax's own cache cannot be written out once more.
    jax.config.update("jax_enable_compilation_cache", False)
    from jax.experimental.serialize_executable import serialize

    card = registry.card(version)
    # Keras draws random weights before it reads the right ones: no code for that need be fast.
    jax.config.update("jax_disable_most_optimizations", True)
    model = kerasfiles.load(registry.checked_model_path(version))
    jax.config.update("jax_disable_most_optimizations", False)
    Predictor.of(model, card)  # refuses one that does not fit its card
    forward = jitted(model)
    rows = {
        count: jax.ShapeDtypeStruct((count, len(card.features)), np.float32)
        for count in BATCH_SIZES
    }
    return pickle.dumps(
        {count: serialize(forward.lower(shape).compile()) for count, shape in rows.items()}
    )


def remove_stale(registry: Registry, kept: Path) -> None:
    """What is of versions that are gone, or of this one by other libraries or processors."""
    versions = registry.versions()
    for file in kept.parent.iterdir():
        version = file.name.rpartition(".")[0]
        stale = version not in versions or version == kept.name.rpartition(".")[0]
        if stale and file != kept and file.name != ".lock":
            file.unlink()


if __name__ == "__main__":
    try:
        main(Registry(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except StackserveError as error:
        print(json.dumps([str(error), error.remedy]))
        sys.exit(1)
