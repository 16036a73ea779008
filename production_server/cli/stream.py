"""stream: JSON lines in, JSON lines out, for pipes.

All lines that have arrived are predicted together. A slow writer gets each answer at once, and a
fast writer gets the speed of large batches.
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
_SOME_FAILED = 2  # exit code


@click.command()
@model_option
@registry_option
def stream(version: str | None, registry_path: Path | None) -> None:
    """Predict rows from stdin, one JSON object or list of values per line, in order.

    An invalid line gets {"line": N, "error": {...}} and the stream continues. The exit code is
    then 2.
    """
    from production_server.model.predictor import Predictor
    from production_server.web.rows import RowSchema

    registry = open_registry(registry_path)
    card = registry.card(chosen(registry, version))
    predictor = Predictor.load(registry, card.version)
    predictor.warm()
    schema = RowSchema(card, 1)
    number = failed = 0
    for lines in read_lines(sys.stdin.fileno()):
        answers = answer_lines(lines, number, card, schema, predictor)
        number += len(lines)
        failed += sum("error" in answer for answer in answers)
        text = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers)
        sys.stdout.write(text)
        sys.stdout.flush()
    if failed:
        sys.exit(_SOME_FAILED)


def read_lines(handle: int) -> Iterator[list[bytes]]:
    """Complete lines, as many as have arrived each time."""
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
    """One answer per line that is not blank; `before` is the number of earlier lines."""
    from production_server.web.problems import Problem

    answers: list[dict[str, Any]] = []
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
            answers.append({"line": number, "error": cause})
            continue
        packed.append(rows.packed)
        waiting.append((len(answers), rows.warnings[0]))
        answers.append({"line": number, "version": card.version})
    if packed:
        values = np.frombuffer(b"".join(packed), "<f4").reshape(len(packed), -1)
        outputs = predictor.predict(values).tolist()
        for (place, warnings), row in zip(waiting, outputs, strict=True):
            answers[place] |= {**card.output.prediction(row), "warnings": warnings}
    return answers


def as_object(line: bytes, card: Card) -> bytes:
    """Convert a list of values to an object; return anything else unchanged."""
    if line.lstrip()[:1] != b"[":
        return line
    names = card.feature_names
    remedy = f"Give them in this order: {', '.join(names)}"
    try:
        values = json.loads(line)
    except ValueError as error:
        raise DataError(f"the line is not JSON: {error}", remedy) from error
    if len(values) != len(names):
        raise DataError(f"expected {len(names)} values, got {len(values)}", remedy)
    return json.dumps(dict(zip(names, values, strict=True))).encode()
