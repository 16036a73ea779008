"""What one body of rows may cost: measured in its bytes, before anything is parsed."""

from __future__ import annotations

from dataclasses import dataclass

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

_AS_JSON = "Send one object or a list of objects."

Bytes = bytes | bytearray


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

    @property
    def enough(self) -> int:
        """With so many bytes, a slice does not depend on what follows: its rows, and a comma."""
        return self.slice_bytes + 2 * self.row_bytes

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


def malformed(what: str) -> Problem:
    return Problem(400, "malformed_json", f"The body is not JSON: {what}.", _AS_JSON)


def no_rows() -> Problem:
    return Problem(422, "no_rows", "The list holds no row.", "Send at least one.")
