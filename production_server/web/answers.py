"""The body of an answer to POST /predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from production_server.messaging.batches import Answer
from production_server.model.card import Card
from production_server.web.row_limits import SLICE_ROWS
from production_server.web.rows import Warnings


def answer(card: Card, rows: list[list[float]], warnings: Sequence[Warnings]) -> dict[str, Any]:
    output = card.output
    return {
        "model": card.name,
        "version": card.version,
        "predictions": [
            {**output.prediction(outputs), "warnings": odd}
            for outputs, odd in zip(rows, warnings, strict=True)
        ],
    }


def pieces(card: Card, said: Answer, warnings: Sequence[Warnings]) -> Iterator[bytes]:
    """The same body for many rows, slice by slice: the whole could take tens of megabytes."""
    head = orjson.dumps({"model": card.name, "version": card.version})[:-1] + b',"predictions":['
    for first in range(0, len(warnings), SLICE_ROWS):
        odd = warnings[first : first + SLICE_ROWS]
        part = answer(card, said.part(first, len(odd)).rows(), odd)["predictions"]
        yield (b"," if first else head) + orjson.dumps(part)[1:-1]
    yield b"]}"
