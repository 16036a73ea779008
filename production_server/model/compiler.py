"""The program that compiles one version of a model, run by machine_code.py.

python -m production_server.model.compiler REGISTRY VERSION FILE
"""

from __future__ import annotations

import errno
import fcntl
import json
import pickle
import sys
from pathlib import Path

import numpy as np

from production_server.batch_sizes import BATCH_SIZES
from production_server.errors import StackserveError
from production_server.model import kerasfiles
from production_server.model.durable import read_sealed, write_sealed
from production_server.model.machine_code import CANNOT_WRITE
from production_server.model.predictor import Predictor, jitted
from production_server.model.registry import Registry

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def compile_to(file: Path, registry: Registry, version: str) -> None:
    """Write the version's machine code to `file`, unless another process has just done so."""
    with (file.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if read_sealed(file) is None:
            write_sealed(file, compile_version(registry, version))
            remove_stale(registry, file)


def compile_version(registry: Registry, version: str) -> bytes:
    """The machine code of the forward pass for each batch size, pickled."""
    jax = kerasfiles.jax_module()
    # Code from jax's own cache cannot be serialized again.
    jax.config.update("jax_enable_compilation_cache", False)
    from jax.experimental.serialize_executable import serialize

    card = registry.card(version)
    # Keras draws random weights before it reads the real ones. That code need not be fast.
    jax.config.update("jax_disable_most_optimizations", True)
    model = kerasfiles.load(registry.checked_model_path(version))
    jax.config.update("jax_disable_most_optimizations", False)
    Predictor.of(model, card)  # raises if the model does not match its card
    forward = jitted(model)
    rows = {
        count: jax.ShapeDtypeStruct((count, len(card.features)), np.float32)
        for count in BATCH_SIZES
    }
    return pickle.dumps(
        {count: serialize(forward.lower(shape).compile()) for count, shape in rows.items()}
    )


def remove_stale(registry: Registry, kept: Path) -> None:
    """Delete the code of deleted versions, and of this one for other libraries or processors."""
    versions = registry.versions()
    for file in kept.parent.iterdir():
        version = file.name.rpartition(".")[0]
        stale = version not in versions or version == kept.name.rpartition(".")[0]
        if stale and file != kept and file.name != ".lock":
            file.unlink()


if __name__ == "__main__":
    try:
        compile_to(Path(sys.argv[3]), Registry(sys.argv[1]), sys.argv[2])
    except StackserveError as error:
        print(json.dumps([str(error), error.remedy]))
        sys.exit(1)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(error, file=sys.stderr)
        sys.exit(CANNOT_WRITE)
