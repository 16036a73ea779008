"""The result of a job as a stream of CSV or JSON, a few chunks in memory at a time.

Every row of the upload is there, in its order, numbered from 0: a row of a failed chunk has the
reason instead of an answer.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from production_server.errors import StoreError
from production_server.jobs.store import Job, Part, Store

PARTS_AT_ONCE = 4


def columns(answer: dict[str, Any]) -> list[str]:
    """Names of the answer's columns for a model's kind."""
    if answer["kind"] == "regression":
        return ["value"]
    if answer["kind"] == "binary":
        return ["label", "probability", "positive"]
    return ["label", *(f"probability_{name}" for name in answer["classes"])]


def answers(answer: dict[str, Any], outputs: NDArray[np.float32]) -> list[list[Any]]:
    """For each row of outputs, the values of `columns`."""
    # A float32 has about 7 digits; the 17 of its float64 would double the size of the file.
    told = [[float(f"{value:.8g}") for value in row] for row in outputs.tolist()]
    if answer["kind"] == "regression":
        return told
    classes = answer["classes"]
    if answer["kind"] == "binary":
        positive = (outputs[:, 0] >= answer["threshold"]).tolist()
        return [[classes[yes], row[0], yes] for row, yes in zip(told, positive, strict=True)]
    best = outputs.argmax(axis=1).tolist()
    return [[classes[index], *row] for row, index in zip(told, best, strict=True)]


def as_csv(store: Store, job: Job) -> Iterator[bytes]:
    """Header, then a line a row."""
    names = columns(job.answer)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *names, "error"])
    first = 0
    for part in _parts(store, job):
        numbers = range(first, first + part.count)
        if part.outputs is None:
            blank = [""] * len(names)
            writer.writerows([number, *blank, part.reason] for number in numbers)
        else:
            told = answers(job.answer, _outputs(part))
            writer.writerows(
                [number, *_csv_cells(row), ""] for number, row in zip(numbers, told, strict=True)
            )
        first += part.count
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    if not first:
        yield text.getvalue().encode()


def as_json(store: Store, job: Job) -> Iterator[bytes]:
    """One object; its `predictions` hold an object a row."""
    names = columns(job.answer)
    head = {"job": job.id, "model": job.answer["model"], "version": job.version, "rows": job.rows}
    yield (json.dumps(head)[:-1] + ', "predictions": [').encode()
    first = 0
    for part in _parts(store, job):
        numbers = range(first, first + part.count)
        if part.outputs is None:
            told = [{"row": number, "error": part.reason} for number in numbers]
        else:
            rows = answers(job.answer, _outputs(part))
            told = [
                {"row": number, **dict(zip(names, row, strict=True))}
                for number, row in zip(numbers, rows, strict=True)
            ]
        yield ((", " if first else "") + json.dumps(told)[1:-1]).encode()
        first += part.count
    yield b"]}\n"


def _csv_cells(row: list[Any]) -> list[Any]:
    return [str(cell).lower() if isinstance(cell, bool) else cell for cell in row]


def _outputs(part: Part) -> NDArray[np.float32]:
    return np.frombuffer(part.outputs or b"", "<f4").reshape(part.count, -1)


def _parts(store: Store, job: Job) -> Iterator[Part]:
    number = 0
    while number < job.chunks:
        parts = store.parts(job.id, number, PARTS_AT_ONCE)
        if not parts:
            # The answer has begun: breaking it off is the only honest way to say so.
            raise StoreError(f"job {job.id} was removed while its result was being read")
        yield from parts
        number = parts[-1].number + 1
