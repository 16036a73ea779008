"""stream: JSON lines in, JSON lines out, for pipes.

Whatever lines have arrived are answered together: a slow writer gets each answer at once, a
fast one gets the speed of large batches.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from production_server.cli.registries import (
    chosen,
    model_option,
    open_registry,
    registry_option,
)
from production_server.errors import DataError

if TYPE_CHECKING:
    from production_server.model.card import Card
    from production_server.model.predictor import Predictor
    from production_server.web.rows import RowSchema

_BLOCK = 1 << 18
_LINE_REFUSED = 2  # exit code: some lines had no answer


@click.command()
@model_option
@registry_option
def stream(version: str | None, registry_path: Path | None) -> None:
    """Answer rows from stdin, one JSON object (or list of values) a line, in order.

    A line that cannot be answered gets {"line": N, "error": {...}} and the stream goes on; then
    the exit code is 2 at the end.
    """
    from production_server.model.predictor import Predictor
    from production_server.web.rows import RowSchema

    registry = open_registry(registry_path)
    card = registry.card(chosen(registry, version))
    predictor = Predictor.load(registry, card.version)
    predictor.warm()
    schema = RowSchema(card, 1)
    number = refused = 0
    for lines in blocks_of_lines(sys.stdin.fileno()):
        told = answer_lines(lines, number, card, schema, predictor)
        number += len(lines)
        refused += sum("error" in line for line in told)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in told)
        sys.stdout.write(text)
        sys.stdout.flush()
    if refused:
        sys.exit(_LINE_REFUSED)


def blocks_of_lines(handle: int) -> Iterator[list[bytes]]:
    """Whole lines, as many as have arrived."""
    held = b""
    while block := os.read(handle, _BLOCK):
        *lines, held = (held + block).split(b"\n")
        if lines:
            yield lines
    if held:
        yield [held]


def answer_lines(
    lines: list[bytes], before: int, card: Card, schema: RowSchema, predictor: Predictor
) -> list[dict[str, Any]]:
    """An answer for each line that is not blank; `before` lines came earlier."""
    from production_server.web.problems import Problem

    told: list[dict[str, Any]] = []
    packed: list[bytes] = []
    waiting: list[tuple[int, Any]] = []
    for number, line in enumerate(lines, start=before + 1):
        if not line.strip():
            continue
        try:
            rows, _ = schema.from_json(as_object(line, card))
        except (Problem, DataError) as error:
            code = error.code if isinstance(error, Problem) else "not_a_row"
            cause = {"code": code, "detail": str(error), "remedy": error.remedy}
            told.append({"line": number, "error": cause})
            continue
        packed.append(rows.packed)
        waiting.append((len(told), rows.warnings[0]))
        told.append({"line": number, "version": card.version})
    if packed:
        values = np.frombuffer(b"".join(packed), "<f4").reshape(len(packed), -1)
        outputs = predictor.predict(values).tolist()
        for (place, warnings), row in zip(waiting, outputs, strict=True):
            told[place] |= {**card.output.prediction(row), "warnings": warnings}
    return told


def as_object(line: bytes, card: Card) -> bytes:
    """A list of values as the object that it stands for; anything else as it is."""
    if line.lstrip()[:1] != b"[":
        return line
    names = card.feature_names
    remedy = f"Give them in this order: {', '.join(names)}"
    try:
        values = json.loads(line)
    except ValueError as error:
        raise DataError(f"the line is not JSON: {error}", remedy) from error
    if len(values) != len(names):
        raise DataError(f"{len(values)} values instead of {len(names)}", remedy)
    return json.dumps(dict(zip(names, values, strict=True))).encode()
