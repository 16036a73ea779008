"""A list of rows, taken slice by slice while it arrives.

A wrong value costs a hundred times as much as a right one, because it is described. So a list is
checked in slices, and the check ends with the first slice that has a problem. What was taken is
dropped: a body needs the memory of a slice, not of its size, and a bad one is refused at its first
bad row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import pydantic_core

from production_server.web.row_limits import SLICE_ROWS, RowLimits, malformed, no_rows

_SPACE = re.compile(rb"[ \t\r\n]*")
_COMMA = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
# An object without lists or objects in it: every row is one.
_FLAT_ROW = re.compile(rb'\{[^{}\[\]"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^{}\[\]"]*)*\}', re.DOTALL)


class OddElement(Exception):
    """An element of the list that is valid JSON but is not a flat object."""

    def __init__(self, number: int, value: object) -> None:
        self.number = number
        self.value = value


@dataclass
class Arriving:
    """The bytes of a body that arrived and were not taken yet."""

    data: bytearray
    complete: bool


@dataclass(frozen=True)
class Slice:
    """Some rows as a small list, which may still be malformed."""

    first: int
    rows: int
    text: bytes


def slices(body: Arriving, limits: RowLimits) -> Iterator[Slice | None]:
    """The rows of a list; None where more of the body has to arrive.

    What is not a row ends the list: OddElement or a Problem.
    """
    yield from _skip(body, body.data.index(b"[") + 1)
    number, more = 0, True
    while more:
        while not body.complete and len(body.data) < limits.enough:
            yield None
        rows, end = _rows(body.data, limits)
        if rows:
            if number + rows > limits.max_rows:
                raise limits.too_many()
            yield Slice(number, rows, b"[%b]" % bytes(body.data[:end]))
        elif number or body.data[:1] != b"]":
            _refuse(body.data, number, limits)
        number += rows
        yield from _skip(body, end)
        more = body.data[:1] == b","
        if more:
            yield from _skip(body, 1)
    if body.data[:1] != b"]":
        raise malformed(f"a comma or ] is missing after row {number - 1}")
    yield from _skip(body, 1)
    if body.data:
        raise malformed("something follows the list")
    if number == 0:
        raise no_rows()


def _skip(body: Arriving, size: int) -> Iterator[None]:
    """Drop some bytes, and the white space after them."""
    while True:
        space = _SPACE.match(body.data, size)
        del body.data[: space.end() if space else size]
        if body.data or body.complete:
            return
        yield None
        size = 0


def _rows(data: bytearray, limits: RowLimits) -> tuple[int, int]:
    """How many rows of one slice the data begins with, and where they end."""
    rows = at = end = first = 0
    while rows < SLICE_ROWS:
        match = _FLAT_ROW.match(data, at, at + limits.row_bytes)
        if match is None or (rows and match.end() > limits.slice_bytes):
            break
        end = match.end()
        first = first or end
        rows += 1
        comma = _COMMA.match(data, end, end + limits.row_bytes)
        if comma is None:
            break
        at = comma.end()
    if data.count(b",", 0, end) > limits.slice_names:
        limits.check_row(data[:first])
        return 1, first
    return rows, end


def _refuse(data: bytearray, number: int, limits: RowLimits) -> NoReturn:
    """Say what is wrong with the data, which should begin with a row."""
    limit = limits.row_bytes
    text = bytes(data[: limit + 1])
    cut = len(data) > limit
    try:
        value, end = json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
    except RecursionError:
        raise malformed(f"row {number} is nested too deeply") from None
    except ValueError:
        if cut and _could_go_on(text):
            raise limits.too_large(number) from None
        raise malformed(f"row {number} is not valid JSON or ends too early") from None
    if cut and end > limit:
        raise limits.too_large(number)
    raise OddElement(number, value)


def _could_go_on(text: bytes) -> bool:
    """Whether a text is the beginning of valid JSON."""
    try:
        pydantic_core.from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return False
    return True
