"""A model's outputs as the API tells them."""

from __future__ import annotations

from typing import Any

from production_server.model.card import Card
from production_server.web.rows import Warnings


def prediction(card: Card, outputs: list[float]) -> dict[str, Any]:
    """One row's outputs as label and probability, probabilities, or value."""
    if card.kind == "binary":
        positive = outputs[0] >= card.threshold
        return {
            "label": card.classes[positive],
            "probability": outputs[0],
            "positive": positive,
        }
    if card.kind == "multiclass":
        best = max(range(len(outputs)), key=outputs.__getitem__)
        return {
            "label": card.classes[best],
            "probability": outputs[best],
            "probabilities": dict(zip(card.classes, outputs, strict=True)),
        }
    return {"label": card.target, "value": outputs[0], "unit": card.unit}


def answer(card: Card, rows: list[list[float]], warnings: list[Warnings]) -> dict[str, Any]:
    """The body of an answer to POST /predict."""
    return {
        "model": card.name,
        "version": card.version,
        "predictions": [
            {**prediction(card, outputs), "warnings": odd}
            for outputs, odd in zip(rows, warnings, strict=True)
        ],
    }
