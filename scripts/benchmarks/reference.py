"""The reference that every system is checked against: the shipped model, 64 rows, their results.

Run as a separate program, so that Keras and its backend stay out of the measuring process.
"""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from production_server.model import kerasfiles
from production_server.model.cohort import sample
from production_server.model.predictor import Predictor
from production_server.model.registry import Registry

if TYPE_CHECKING:
    import keras

    from production_server.model.card import Card

SHIPPED = Path(kerasfiles.__file__).parent.parent / "shipped"
ROWS = 64
SEED = 20
KERAS_FILE = "model.keras"
ONNX_FILE = "model.onnx"
DESCRIPTION = "reference.json"


@dataclass(frozen=True)
class Reference:
    """Rows as JSON objects, and the probability that Keras predicts for each."""

    version: str
    rows: list[dict[str, float]]
    expected: list[float]

    @classmethod
    def read(cls, folder: Path) -> Reference:
        return cls(**json.loads((folder / DESCRIPTION).read_text()))


def write(folder: Path) -> None:
    """Write the model file, its config and weights, the rows and the expected results."""
    registry = Registry(SHIPPED)
    version = registry.versions()[0]
    path = registry.checked_model_path(version)
    card = registry.card(version)
    model = kerasfiles.load(path)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KERAS_FILE).write_bytes(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        (folder / "config.json").write_bytes(archive.read("config.json"))
    weights = {
        f"{layer.name}/{number}": value
        for layer in model.layers
        for number, value in enumerate(layer.get_weights())
    }
    np.savez(folder / "weights.npz", allow_pickle=False, **weights)
    describe(folder, model, card)


def describe(folder: Path, model: keras.Model, card: Card) -> None:
    """Write the rows and what the model predicts for them."""
    rows: list[dict[str, Any]] = [dict(row) for row, _ in sample(card, ROWS, SEED)]
    matrix = np.array([list(row.values()) for row in rows], np.float32)
    expected = Predictor.of(model, card).predict(matrix)[:, 0].tolist()
    (folder / DESCRIPTION).write_text(
        json.dumps({"version": card.version, "rows": rows, "expected": expected})
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
