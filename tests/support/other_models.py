"""Models other than the shipped one: files of old Keras releases, and imports of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card
from production_server.model.description import DIABETES, read_description
from production_server.model.registry import Registry

DATA = Path(__file__).resolve().parent.parent / "data"
FLOWERS = DATA / "flowers.toml"
POWER = DATA / "power.json"


@dataclass(frozen=True)
class OldModel:
    """A model file of an old Keras release, and the predictions of that release."""

    release: str
    name: str
    features: Path
    outputs: int

    @property
    def _stem(self) -> Path:
        return DATA / "keras_models" / self.release / self.name

    @property
    def files(self) -> tuple[Path, Path | None]:
        """The arguments of `models import`: a whole model, or architecture and weights."""
        whole = self._stem.with_suffix(".keras")
        if whole.exists():
            return whole, None
        weights = self._stem.with_suffix(".h5")
        description = self._stem.with_suffix(".json")
        return (description, weights) if description.exists() else (weights, None)

    def expected(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The rows and their predictions."""
        table = np.loadtxt(
            self._stem.with_suffix(".expected.csv"), delimiter=",", dtype=np.float32, ndmin=2
        )
        return table[:, : -self.outputs], table[:, -self.outputs :]


OLD_MODELS = (
    OldModel("keras_2_1", "diabetes", DIABETES, 1),
    OldModel("keras_2_1", "power", POWER, 1),
    OldModel("keras_2_12", "flowers", FLOWERS, 3),
    OldModel("keras_2_12", "diabetes", DIABETES, 1),
    OldModel("tf_keras_2_21", "diabetes", DIABETES, 1),
    OldModel("tf_keras_2_21", "flowers", FLOWERS, 3),
    OldModel("tf_keras_2_21", "power", POWER, 1),
)


def add_old_model(registry: Registry, old: OldModel, *, activate: bool = False) -> Card:
    """Import an old model into a registry; this loads Keras."""
    from production_server.model.importing import add_model, read_model

    card = read_description(old.features).card()
    with tempfile.TemporaryDirectory() as folder:
        return add_model(
            registry, read_model(*old.files), card, scratch=Path(folder), activate=activate
        )


def add_flowers(registry: Registry, *, activate: bool = False) -> Card:
    """Import the three-class model, with metrics and a cohort in its card."""
    from production_server.model.dataset import read_table
    from production_server.model.importing import add_model, read_model

    card = read_description(FLOWERS).card()
    table = read_table(str(DATA / "flowers.csv"), card)
    with tempfile.TemporaryDirectory() as folder:
        return add_model(
            registry,
            read_model(*OLD_MODELS[2].files),
            card,
            scratch=Path(folder),
            table=table,
            activate=activate,
        )
