"""The result of a job as a stream of CSV or JSON, with a few chunks in memory at a time.

It has every row of the upload, in order, numbered from 0. A row of a failed chunk has the reason
instead of a prediction. Results have up to a million rows, so each line is one format operation
with a template made beforehand for each label.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from production_server.errors import StoreError
from production_server.jobs.pruning import KEEP_SECONDS
from production_server.jobs.records import Job, Part
from production_server.jobs.store import Store
from production_server.model.outputs import KINDS, Output
from production_server.model.outputs.output import NUMBER

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 4
# Seconds. Marking a job as being read takes a write, and it lasts for KEEP_SECONDS.
KEEP_EVERY = KEEP_SECONDS / 5
# A float32 has about 7 digits; the 17 of its float64 would double the size of the file.
NUMBER_FORMAT = "%.8g"
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def output_of(answer: dict[str, Any]) -> Output:
    """The output that the job's version had when the job was accepted."""
    known = {field.name: answer[field.name] for field in fields(Output) if field.name in answer}
    return KINDS[answer["kind"]](**known)


def csv_header(output: Output) -> list[str]:
    return ["row", *output.columns]


def csv_templates(output: Output, end: str) -> list[str]:
    """For each label, the line of a row with that label."""
    return [
        ",".join(["%d", *(NUMBER_FORMAT if cell == NUMBER else _cell(cell) for cell in cells)])
        + end
        for cells in output.csv_cells()
    ]


def json_templates(output: Output) -> list[str]:
    """The same for JSON, with the member names of POST /predict."""
    return [
        '{"row": %d, '
        + _literal(json.dumps(members)[1:]).replace(json.dumps(NUMBER), NUMBER_FORMAT)
        for members in output.json_members()
    ]


def csv_lines(output: Output, outputs: NDArray[np.float32], first: int, end: str) -> list[str]:
    """A line for each row's outputs; `end` closes it."""
    return _lines(output, csv_templates(output, end), outputs, first)


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return _literal(csv_line([f"'{text}" if text.startswith(FORMULA) else text]))


def csv_line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def as_csv(store: Store, job: Job) -> Iterator[bytes]:
    """A header, then one line per row."""
    output = output_of(job.answer)
    names = [*csv_header(output), "error"]
    templates = csv_templates(output, ",\n")
    yield (csv_line(names) + "\n").encode()
    first = 0
    for part in _parts(store, job):
        if part.outputs is None:
            failed = _literal(csv_line([*[""] * (len(names) - 1), part.reason]))
            lines = [f"%d{failed}\n" % number for number in range(first, first + part.count)]
        else:
            lines = _lines(output, templates, _numbers(part), first)
        first += part.count
        yield "".join(lines).encode()


def as_json(store: Store, job: Job) -> Iterator[bytes]:
    """One object. Its `predictions` are one object per row."""
    output = output_of(job.answer)
    templates = json_templates(output)
    head = {"job": job.id, "model": job.answer["model"], "version": job.version, "rows": job.rows}
    yield (json.dumps(head)[:-1] + ', "predictions": [').encode()
    first = 0
    for part in _parts(store, job):
        if part.outputs is None:
            failed = f'{{"row": %d, "error": {_literal(json.dumps(part.reason))}}}'
            lines = [failed % number for number in range(first, first + part.count)]
        else:
            lines = _lines(output, templates, _numbers(part), first, null="null")
        yield ((",\n" if first else "\n") + ",\n".join(lines)).encode()
        first += part.count
    yield b"\n]}\n"


def _lines(
    output: Output,
    templates: Sequence[str],
    outputs: NDArray[np.float32],
    first: int,
    null: str = "",
) -> list[str]:
    labels, numbers = output.arrange(outputs)
    rows: list[list[Any]] = numbers.tolist()
    if not np.isfinite(numbers).all():  # a broken model's NaN has no place in JSON or CSV
        templates = [template.replace(NUMBER_FORMAT, "%s") for template in templates]
        rows = [
            [NUMBER_FORMAT % value if np.isfinite(value) else null for value in row] for row in rows
        ]
    return [
        templates[label] % (number, *row)
        for number, (label, row) in enumerate(zip(labels.tolist(), rows, strict=True), first)
    ]


def _numbers(part: Part) -> NDArray[np.float32]:
    return np.frombuffer(part.outputs or b"", "<f4").reshape(part.count, -1)


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _parts(store: Store, job: Job) -> Iterator[Part]:
    number = 0
    kept = job.touched
    while number < job.chunks:
        kept = _keep(store, job, kept)
        parts = store.parts(job.id, number, PARTS_AT_ONCE)
        if not parts:
            # The response has begun: only breaking it off can report this.
            raise StoreError(f"job {job.id} was removed while its result was being read")
        yield from parts
        number = parts[-1].number + 1


def _keep(store: Store, job: Job, kept: float) -> float:
    """Keep the job while it is read; returns when that was last written."""
    now = time.time()
    if now - kept < KEEP_EVERY:
        return kept
    try:
        store.keep(job.id)
    except SQLAlchemyError as error:  # reading goes on even when the disk is full
        log.warning("cannot mark job %s as being read: %s", job.id, error.args[0])
    return now
