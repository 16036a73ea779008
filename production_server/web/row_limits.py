"""What one body of rows may cost: measured in its bytes, before anything is parsed.

A wrong value costs a hundred times as much as a right one, because it is described. So a list is
checked in slices, and the check ends with the first slice that has a problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import pydantic_core

from production_server.web.problems import Problem

# Rows and bytes of one slice. Checking a slice holds up everything else in the process.
SLICE_ROWS = 64
SLICE_BYTES = 16 << 10
# An ordinary row has about 20 bytes for each feature; the rest is for long names and white space.
ROW_BYTES = 4096
BYTES_A_FEATURE = 256
# Names that a row may have on top of twice its features: enough to describe a whole wrong record.
EXTRA_NAMES = 256
# A body this small cannot hold enough names to matter.
TINY_BYTES = 1024

_SPACE = re.compile(rb"[ \t\r\n]*")
# An object without lists or objects in it: every row is one.
_FLAT_ROW = re.compile(rb'\{[^{}\[\]"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^{}\[\]"]*)*\}', re.DOTALL)
_AS_JSON = "Send one object or a list of objects."

Bytes = bytes | bytearray


class OddElement(Exception):
    """An element of the list that is valid JSON but is not a flat object."""

    def __init__(self, number: int, value: object) -> None:
        self.number = number
        self.value = value


@dataclass(frozen=True)
class RowLimits:
    """The limits of one card's rows."""

    row_bytes: int
    row_names: int
    slice_bytes: int
    slice_names: int
    max_rows: int

    @classmethod
    def of(cls, features: int, max_rows: int) -> RowLimits:
        row = max(ROW_BYTES, BYTES_A_FEATURE * features)
        return cls(
            row_bytes=row,
            row_names=2 * features + EXTRA_NAMES,
            slice_bytes=max(SLICE_BYTES, row),
            slice_names=2 * features * SLICE_ROWS,
            max_rows=max_rows,
        )

    def is_list(self, body: Bytes) -> bool:
        return body[: self.row_bytes].lstrip()[:1] == b"["

    def check_start(self, body: Bytes) -> None:
        """Refuse the beginning of a body that is no list, but larger than a row."""
        if len(body) > self.row_bytes and not self.is_list(body):
            raise self.too_large(None)

    def check_row(self, row: Bytes, number: int | None = None) -> None:
        """Refuse a row that is too large to be described."""
        size = len(row)
        if size <= TINY_BYTES:
            return
        if size > self.row_bytes:
            raise self.too_large(number)
        if row.count(b",") > self.row_names:
            where = "The row" if number is None else f"Row {number}"
            raise Problem(
                413,
                "row_too_large",
                f"{where} has more than {self.row_names} values.",
                "Send the model's features only.",
            )

    def too_large(self, number: int | None) -> Problem:
        where = "The row" if number is None else f"Row {number}"
        return Problem(
            413,
            "row_too_large",
            f"{where} has more than {self.row_bytes} bytes.",
            "Send the model's features only; many rows are a list of objects.",
        )

    def too_many(self) -> Problem:
        return Problem(
            413,
            "too_many_rows",
            f"At most {self.max_rows} rows can be answered at once.",
            "Send large tables to POST /jobs.",
        )

    def fits_one_slice(self, body: Bytes) -> bool:
        """Whether a list is small enough to be checked in one go."""
        return len(body) <= TINY_BYTES or (
            len(body) <= self.slice_bytes
            and body.count(b"{") <= SLICE_ROWS
            and body.count(b",") <= self.slice_names
        )

    def slices(self, body: Bytes) -> Iterator[tuple[int, bytes]]:
        """The rows of a list, as small lists: the number of the first row, and their JSON.

        A slice may still be malformed. What is no row ends the list: OddElement or a Problem.
        """
        # Braces within texts or nested objects count too, but then no row is valid.
        if body.count(b"{") > self.max_rows:
            raise self.too_many()
        at = body.index(b"[") + 1
        number, more = 0, True
        while more:
            start = _skip_space(body, at)
            rows, at, more = self._slice(body, start)
            if not rows:
                self._refuse(body, start, number)
            yield number, b"[%b]" % bytes(body[start:at])
            number += rows
            if more:
                at = body.index(b",", at) + 1
        at = _skip_space(body, at)
        if body[at : at + 1] != b"]":
            raise malformed(f"a comma or ] is missing after row {number - 1}")
        if _skip_space(body, at + 1) != len(body):
            raise malformed("something follows the list")

    def _slice(self, body: Bytes, start: int) -> tuple[int, int, bool]:
        """How many rows, where they end, and whether a comma follows the last one."""
        at = end = start
        rows, more = 0, True
        first = 0, True
        while more and rows < SLICE_ROWS:
            at = _skip_space(body, at)
            match = _FLAT_ROW.match(body, at, at + self.row_bytes)
            if match is None or (rows and match.end() - start > self.slice_bytes):
                break
            end = match.end()
            after = _skip_space(body, end)
            more = body[after : after + 1] == b","
            at = after + 1
            rows += 1
            if rows == 1:
                first = end, more
        if rows and body.count(b",", start, end) > self.slice_names:
            end, more = first
            rows = 1
            self.check_row(body[start:end])
        return rows, end, more or rows == 0

    def _refuse(self, body: Bytes, at: int, number: int) -> NoReturn:
        """Say what is wrong where a row should begin."""
        if body[at : at + 1] == b"]" and number == 0 and _skip_space(body, at + 1) == len(body):
            raise no_rows()
        limit = self.row_bytes
        text = bytes(body[at : at + limit + 1])
        cut = len(body) - at > limit
        try:
            value, end = json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))
        except RecursionError:
            raise malformed(f"row {number} is nested too deeply") from None
        except ValueError:
            if cut and _could_go_on(text):
                raise self.too_large(number) from None
            raise malformed(f"row {number} is not valid JSON or ends too early") from None
        if cut and end > limit:
            raise self.too_large(number)
        raise OddElement(number, value)


def _skip_space(body: Bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at


def _could_go_on(text: bytes) -> bool:
    """Whether a text is the beginning of valid JSON."""
    try:
        pydantic_core.from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return False
    return True


def malformed(what: str) -> Problem:
    return Problem(400, "malformed_json", f"The body is not JSON: {what}.", _AS_JSON)


def no_rows() -> Problem:
    return Problem(422, "no_rows", "The list holds no row.", "Send at least one.")
