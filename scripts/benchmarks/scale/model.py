"""The registry of the benchmark: the shipped model, and a costly one with the same inputs.

Run as a separate program, so that Keras stays out of the measuring process:
`python -m benchmarks.scale.model REGISTRY FOLDER UNITS`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.reference import describe
from production_server.model import kerasfiles, machine_code
from production_server.model.importing import add_model
from production_server.model.registry import Registry

SEED = 12


def prepare(registry: Registry, folder: Path, units: int) -> None:
    """Add both models, activate the costly one, compile both and describe each for checks."""
    registry.seed()
    shipped = registry.active()
    keras = kerasfiles.keras_module()
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    card = registry.card(shipped)
    wide = keras.Sequential(
        [
            keras.Input((len(card.features),)),
            layers.Rescaling(0.01),
            layers.Dense(units, "relu"),
            layers.Dense(units, "relu"),
            layers.Dense(1, "sigmoid"),
        ]
    )
    described = card.model_copy(update={"name": "wide", "version": "wide-1", "metrics": None})
    with tempfile.TemporaryDirectory() as scratch:
        added = add_model(registry, wide, described, scratch=Path(scratch), activate=True)
    models = {
        shipped: kerasfiles.load(registry.checked_model_path(shipped)),
        added.version: wide,
    }
    for version, model in models.items():
        machine_code.load(registry, version)
        (folder / version).mkdir(parents=True)
        describe(folder / version, model, registry.card(version))


if __name__ == "__main__":
    prepare(Registry(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
