"""Reads CSV block by block and checks the numbers.

NumPy parses a block of lines at once. A block that NumPy refuses, or that contains quotes, is
parsed line by line. A line with a problem is parsed cell by cell, to report the line, the column
and the cause.

A cell cannot span lines. The delimiter is a comma, semicolon or tab, recognized from the header.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from production_server.errors import UploadMalformed
from production_server.jobs.ledger import Bounds, Ledger, Values, check_value
from production_server.model.card import Card

# numpy holds the interpreter for the whole of a block: small ones keep the web process responsive.
BLOCK = 1 << 15
LONGEST_LINE = 1 << 20  # bytes; limits the memory
MOST_COLUMNS = 10_000
# Blank lines allowed in a file, besides one for each row.
MOST_BLANK_LINES = 10_000
_MISSING = frozenset(("", "na", "n/a", "null", "none", "?", "-"))


@dataclass(frozen=True)
class Header:
    """How the columns of a file map to the card's features."""

    delimiter: str
    width: int
    columns: list[int]  # the column of each feature
    start: int  # the number of the first line after the header


def csv_tables(
    pieces: Iterator[bytes], card: Card, ledger: Ledger, *, ignore_unknown: bool
) -> Iterator[Values]:
    """Float64 tables, in the order of the card's features. Problems go to the ledger.

    After the first problem, the rest is read only to count problems. The tables then have the right
    number of rows, but their values are meaningless.
    """
    bounds = Bounds(card)
    blocks = whole_lines(pieces)
    line, rest, number = _header_line(blocks)
    header = read_header(line, number, card, ledger, ignore_unknown=ignore_unknown)
    if header is None:
        return
    number = header.start
    rows = 0
    for block in chain((rest,), blocks):
        table = _table(block, number, header, bounds, ledger)
        number += block.count(b"\n")
        rows += len(table)
        if number - header.start > 2 * rows + MOST_BLANK_LINES:
            raise _too_blank(number)
        yield table


def whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of complete lines, of about BLOCK bytes each."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size < BLOCK:
            continue
        block = b"".join(held)
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut]
        held, size = [block[cut:]], len(block) - cut
        if size > LONGEST_LINE:
            raise UploadMalformed(
                "malformed_csv",
                f"a line is longer than {LONGEST_LINE} bytes",
                "Send a CSV file: a header with the names, then one line per row.",
            )
    if size:
        yield b"".join(held)


def _header_line(blocks: Iterator[bytes]) -> tuple[bytes, bytes, int]:
    """The first line that is not blank, the rest of its block, and its number."""
    number = 1
    block = next(blocks, b"").removeprefix(b"\xef\xbb\xbf")
    while block:
        text = block.lstrip()
        if text:
            start = block.rfind(b"\n", 0, len(block) - len(text)) + 1
            line, _, rest = block[start:].partition(b"\n")
            return line, rest, number + block.count(b"\n", 0, start)
        number += block.count(b"\n")
        if number > MOST_BLANK_LINES:
            raise _too_blank(number)
        block = next(blocks, b"")
    return b"", b"", 1


def _too_blank(number: int) -> UploadMalformed:
    return UploadMalformed(
        "malformed_csv",
        f"most of the first {number} lines are blank",
        "Send a CSV file: a header with the names, then one line per row.",
    )


def read_header(
    line: bytes, number: int, card: Card, ledger: Ledger, *, ignore_unknown: bool
) -> Header | None:
    """Map the columns to features; None if there are problems, which go to the ledger."""
    names = card.feature_names
    required = f"the header must name these columns, in any order: {', '.join(names)}"
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UploadMalformed(
            "malformed_csv", "the header is not UTF-8 text", "Save the file as CSV in UTF-8."
        ) from None
    if "\0" in text:
        raise UploadMalformed(
            "malformed_csv", "the file is not UTF-8 text", "Save the file as CSV in UTF-8."
        )
    delimiter = max(",;\t", key=text.count)
    try:
        cells = [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]
    except csv.Error as error:
        raise UploadMalformed("malformed_csv", f"line {number}: {error}", required) from None
    if len(cells) > MOST_COLUMNS:
        raise UploadMalformed(
            "malformed_csv", f"the header has more than {MOST_COLUMNS} columns", required
        )
    find = _feature_finder(card)
    features = [find(cell) for cell in cells]
    if not any(features):
        ledger.problem("missing_header", number, None, required)
        return None
    columns = _columns(cells, features, number, card, ledger, ignore_unknown)
    if ledger.count:
        return None
    return Header(delimiter, len(cells), [columns[name] for name in names], number + 1)


def _columns(
    cells: list[str],
    features: list[str | None],
    number: int,
    card: Card,
    ledger: Ledger,
    ignore_unknown: bool,
) -> dict[str, int]:
    columns: dict[str, int] = {}
    unknown: list[str] = []
    for position, (cell, name) in enumerate(zip(cells, features, strict=True)):
        if name is None:
            unknown.append(cell[:80] or f"(unnamed column {position + 1})")
        elif name in columns:
            ledger.problem("duplicate_column", number, name, f"two columns are named {name}")
        else:
            columns[name] = position
    for name in card.feature_names:
        if name not in columns:
            ledger.problem("missing_column", number, name, f"no column is named {name}")
    if ignore_unknown:
        ledger.ignore(unknown)
    else:
        for cell in unknown:
            ledger.problem("unknown_field", number, cell, f"{cell} is not a feature of this model")
    return columns


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def feature_of(cell: str, card: Card) -> str | None:
    """The feature with this name. If none has, compare letters and digits only, without case."""
    return _feature_finder(card)(cell)


def _feature_finder(card: Card) -> Callable[[str], str | None]:
    """`feature_of` for many columns, which simplifies the card's names only once."""
    exact = set(card.feature_names)
    similar: dict[str, set[str]] = {}
    for feature in card.features:
        for name in (feature.name, feature.title):
            similar.setdefault(_plain(name), set()).add(feature.name)

    def find(cell: str) -> str | None:
        if cell in exact:
            return cell
        found = similar.get(_plain(cell), set())
        return next(iter(found)) if len(found) == 1 else None

    return find


def _table(block: bytes, number: int, header: Header, bounds: Bounds, ledger: Ledger) -> Values:
    if block.isspace():
        return np.empty((0, len(header.columns)))
    values = None if b'"' in block else parse_fast(block, header)
    if values is None or bounds.refused(values).any():
        values, where = parse_lines(block, number, header, bounds, ledger)
    else:
        where = _line_numbers(block, number, len(values))
    if not ledger.count:
        bounds.count_implausible(values, where, ledger)
    return values


def parse_fast(block: bytes, header: Header) -> Values | None:
    """Parse all lines at once; None if anything is unusual."""
    # Decoding Latin-1 never fails, and numbers are ASCII anyway.
    lines = block.decode("latin-1").split("\n")
    if not lines[-1]:
        lines.pop()
    same = len(header.columns) == header.width
    if not same and block.count(header.delimiter.encode()) != len(lines) * (header.width - 1):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a block of blank lines has no data
            values = np.loadtxt(
                lines,
                dtype=np.float64,
                delimiter=header.delimiter,
                comments=None,
                ndmin=2,
                usecols=None if same else header.columns,
            )
    except ValueError:
        return None
    if not len(values):
        return None
    if same:
        if values.shape[1] != header.width:
            return None
        values = values[:, header.columns]
    return values


def _line_numbers(block: bytes, number: int, rows: int) -> NDArray[np.int64]:
    """The number of each line that is not blank."""
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if lines == rows:
        return np.arange(number, number + rows)
    numbered = enumerate(block.split(b"\n"), number)
    return np.array([at for at, line in numbered if line.strip()], dtype=np.int64)


def parse_lines(
    block: bytes, number: int, header: Header, bounds: Bounds, ledger: Ledger
) -> tuple[Values, NDArray[np.int64]]:
    """Parse line by line; problems go to the ledger. Returns the values and the line numbers."""
    text = block.decode("utf-8", "replace")
    lines = [
        (at, line.rstrip("\r")) for at, line in enumerate(text.split("\n"), number) if line.strip()
    ]
    rows = [_parse_line(line, header) for _, line in lines]
    blank = [0.0] * len(header.columns)
    values = np.array([row or blank for row in rows], dtype=np.float64).reshape(-1, len(blank))
    suspect = bounds.refused(values) | np.array([row is None for row in rows], dtype=np.bool_)
    for index in np.flatnonzero(suspect):
        if ledger.full:
            break
        at, line = lines[index]
        values[index] = _check_line(line, at, header, bounds, ledger)
    return values, np.array([at for at, _ in lines], dtype=np.int64)


def _parse_line(line: str, header: Header) -> list[float] | None:
    """The numbers of an ordinary line; None for one that must be checked cell by cell."""
    # float() also accepts 1_000 and digits of other scripts, which are errors in a table.
    if "_" in line or not line.isascii():
        return None
    try:
        cells = line.split(header.delimiter)
        if '"' in line:
            cells = next(csv.reader([line], delimiter=header.delimiter, strict=True))
        if len(cells) != header.width:
            return None
        return [float(cells[column]) for column in header.columns]
    except (ValueError, csv.Error):
        return None


def _check_line(line: str, at: int, header: Header, bounds: Bounds, ledger: Ledger) -> list[float]:
    """The numbers of a line; its problems go to the ledger."""
    values = [0.0] * len(header.columns)
    try:
        cells = next(csv.reader([line], delimiter=header.delimiter, strict=True))
    except csv.Error as error:
        ledger.problem("malformed_line", at, None, f"{error} (a cell cannot span lines)")
        return values
    if len(cells) != header.width:
        detail = f"the line has {len(cells)} columns, but the header has {header.width}"
        ledger.problem("wrong_column_count", at, None, detail)
        return values
    for index, feature in enumerate(bounds.features):
        text = cells[header.columns[index]].strip()
        problem: tuple[str, str] | None
        if text.lower() in _MISSING:
            problem = ("missing_value", f"{feature.name} has no value")
        else:
            number = _parse_number(text)
            if number is None:
                problem = ("not_a_number", f"{feature.name} is not a number: {text[:40]!r}")
            else:
                values[index] = number
                problem = check_value(feature, number)
        if problem:
            ledger.problem(problem[0], at, feature.name, problem[1])
    return values


def _parse_number(text: str) -> float | None:
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None
