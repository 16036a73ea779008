"""The result of a job as a stream of CSV or JSON, a few chunks in memory at a time.

Every row of the upload is there, in its order, numbered from 0: a row of a failed chunk has the
reason instead of an answer. A million rows are written, so each line is one format operation with
a template made beforehand for each class.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from production_server.errors import StoreError
from production_server.jobs.records import Job, Part
from production_server.jobs.store import Store

PARTS_AT_ONCE = 4
# A float32 has about 7 digits; the 17 of its float64 would double the size of the file.
NUMBER = "%.8g"


def columns(answer: dict[str, Any]) -> list[str]:
    """Names of a CSV result's columns for a model's kind."""
    if answer["kind"] == "regression":
        return ["row", "value", "error"]
    if answer["kind"] == "binary":
        return ["row", "label", "probability", "positive", "error"]
    each = [f"probability_{name}" for name in answer["classes"]]
    return ["row", "label", "probability", *each, "error"]


def csv_templates(answer: dict[str, Any]) -> list[str]:
    """For each class (or the one value), the line of a row that was given it."""
    if answer["kind"] == "regression":
        return [f"%d,{NUMBER},\n"]
    labels = [_literal(csv_line([name])) for name in answer["classes"]]
    if answer["kind"] == "binary":
        flags = ("false", "true")
        return [f"%d,{name},{NUMBER},{flag},\n" for name, flag in zip(labels, flags, strict=True)]
    numbers = ",".join([NUMBER] * (1 + len(labels)))
    return [f"%d,{name},{numbers},\n" for name in labels]


def json_templates(answer: dict[str, Any]) -> list[str]:
    """The same for JSON, with the names that POST /predict uses."""
    if answer["kind"] == "regression":
        target, unit = _literal(json.dumps(answer["target"])), _literal(json.dumps(answer["unit"]))
        return [f'{{"row": %d, "label": {target}, "value": {NUMBER}, "unit": {unit}}}']
    labels = [_literal(json.dumps(name)) for name in answer["classes"]]
    if answer["kind"] == "binary":
        rest = ['"positive": false}', '"positive": true}']
    else:
        each = ", ".join(f"{name}: {NUMBER}" for name in labels)
        rest = [f'"probabilities": {{{each}}}}}'] * len(labels)
    return [
        f'{{"row": %d, "label": {name}, "probability": {NUMBER}, {more}'
        for name, more in zip(labels, rest, strict=True)
    ]


def csv_line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def as_csv(store: Store, job: Job) -> Iterator[bytes]:
    """Header, then a line a row."""
    names = columns(job.answer)
    templates = csv_templates(job.answer)
    yield (csv_line(names) + "\n").encode()
    first = 0
    for part in _parts(store, job):
        if part.outputs is None:
            failed = _literal(csv_line([*[""] * (len(names) - 1), part.reason]))
            lines = [f"%d{failed}\n" % number for number in range(first, first + part.count)]
        else:
            lines = _lines(job.answer, templates, part, first)
        first += part.count
        yield "".join(lines).encode()


def as_json(store: Store, job: Job) -> Iterator[bytes]:
    """One object; its `predictions` hold an object a row."""
    templates = json_templates(job.answer)
    head = {"job": job.id, "model": job.answer["model"], "version": job.version, "rows": job.rows}
    yield (json.dumps(head)[:-1] + ', "predictions": [').encode()
    first = 0
    for part in _parts(store, job):
        if part.outputs is None:
            failed = f'{{"row": %d, "error": {_literal(json.dumps(part.reason))}}}'
            lines = [failed % number for number in range(first, first + part.count)]
        else:
            lines = _lines(job.answer, templates, part, first, null="null")
        yield ((",\n" if first else "\n") + ",\n".join(lines)).encode()
        first += part.count
    yield b"\n]}\n"


def _lines(
    answer: dict[str, Any], templates: Sequence[str], part: Part, first: int, null: str = ""
) -> list[str]:
    outputs = np.frombuffer(part.outputs or b"", "<f4").reshape(part.count, -1)
    numbers: NDArray[np.float32] = outputs
    if answer["kind"] == "regression":
        classes = [0] * part.count
    elif answer["kind"] == "binary":
        classes = (outputs[:, 0] >= answer["threshold"]).astype(int).tolist()
    else:
        classes = outputs.argmax(axis=1).tolist()
        numbers = np.column_stack((outputs.max(axis=1), outputs))
    rows: list[list[Any]] = numbers.tolist()
    if not np.isfinite(numbers).all():  # what a broken model says is no number in JSON or CSV
        templates = [template.replace(NUMBER, "%s") for template in templates]
        rows = [[NUMBER % value if np.isfinite(value) else null for value in row] for row in rows]
    return [
        templates[index] % (number, *row)
        for number, (index, row) in enumerate(zip(classes, rows, strict=True), first)
    ]


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _parts(store: Store, job: Job) -> Iterator[Part]:
    number = 0
    while number < job.chunks:
        parts = store.parts(job.id, number, PARTS_AT_ONCE)
        if not parts:
            # The answer has begun: breaking it off is the only honest way to say so.
            raise StoreError(f"job {job.id} was removed while its result was being read")
        yield from parts
        number = parts[-1].number + 1
