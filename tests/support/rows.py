"""Rows to predict, and the predictions of Keras itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card
from production_server.model.cohort import sample
from production_server.model.registry import SHIPPED, Registry

# The first patient of the Pima data.
PATIENT = {
    "pregnancies": 6,
    "glucose": 148,
    "blood_pressure": 72,
    "skin_thickness": 35,
    "insulin": 0,
    "bmi": 33.6,
    "diabetes_pedigree": 0.627,
    "age": 50,
}


def shipped() -> tuple[Registry, Card]:
    registry = Registry(SHIPPED)
    card = registry.card(registry.versions()[-1])
    return registry, card


def distinct_rows(card: Card, count: int, seed: int = 7) -> list[dict[str, float]]:
    """Synthetic patients, all different: the last digits of one measurement number them."""
    rows = [dict(row) for row, _ in sample(card, count, seed)]
    name = card.features[-2].name
    for index, row in enumerate(rows):
        row[name] = round(0.1 + index / (count + 1), 6)
    return rows


def keras_predictions(
    registry: Registry, card: Card, rows: list[dict[str, float]]
) -> NDArray[np.float32]:
    """The predictions of model.predict, without any code of the service."""
    import keras

    model = keras.saving.load_model(registry.model_path(card.version))
    table = np.array([[row[name] for name in card.feature_names] for row in rows], np.float32)
    return np.asarray(model.predict(table, verbose=0))
