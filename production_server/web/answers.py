"""The body of an answer to POST /predict."""

from __future__ import annotations

from typing import Any

from production_server.model.card import Card
from production_server.web.rows import Warnings


def answer(card: Card, rows: list[list[float]], warnings: list[Warnings]) -> dict[str, Any]:
    output = card.output
    return {
        "model": card.name,
        "version": card.version,
        "predictions": [
            {**output.prediction(outputs), "warnings": odd}
            for outputs, odd in zip(rows, warnings, strict=True)
        ],
    }
