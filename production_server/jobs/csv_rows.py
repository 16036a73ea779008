"""CSV, block by block, to checked numbers.

A block of whole lines is parsed at once by numpy; a block that numpy refuses (or that holds
quotes) is read line by line; a line that is wrong is looked at cell by cell, to name the line,
the column and the cause.
A cell never spans lines; the separator is a comma, semicolon or tab, found from the header.
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
from production_server.jobs.ledger import Bounds, Ledger, Values, judge
from production_server.model.card import Card

# numpy holds the interpreter for the whole of a block: small ones keep the web process responsive.
BLOCK = 1 << 17
LONGEST_LINE = 1 << 20  # a "line" beyond this is not a table; it bounds the memory
MOST_COLUMNS = 10_000
# Blank lines that a file may have beyond one for each row.
MOST_BLANK_LINES = 10_000
_ABSENT = frozenset(("", "na", "n/a", "null", "none", "?", "-"))


@dataclass(frozen=True)
class Header:
    """How the columns of this file map to the card's features."""

    delimiter: str
    width: int
    columns: list[int]  # for each feature, its column
    start: int  # number of the first line after the header


def csv_tables(
    pieces: Iterator[bytes], card: Card, ledger: Ledger, *, ignore_unknown: bool
) -> Iterator[Values]:
    """Float64 tables in the order of the card's features; what is wrong goes to the ledger.

    After the first problem the numbers no longer matter, but the rest is read to count problems:
    then each table has the right number of rows and nothing else.
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
    """The same bytes in blocks of about a megabyte that end at the end of a line."""
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
                "Send a CSV file: a header with the names, then one line a row.",
            )
    if size:
        yield b"".join(held)


def _header_line(blocks: Iterator[bytes]) -> tuple[bytes, bytes, int]:
    """First line that is not blank, what follows it in its block, and its number."""
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
        "Send a CSV file: a header with the names, then one line a row.",
    )


def read_header(
    line: bytes, number: int, card: Card, ledger: Ledger, *, ignore_unknown: bool
) -> Header | None:
    """The mapping of columns; None after telling the ledger why there is none."""
    names = card.feature_names
    wanted = f"the header must name these columns, in any order: {', '.join(names)}"
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
        raise UploadMalformed("malformed_csv", f"line {number}: {error}", wanted) from None
    if len(cells) > MOST_COLUMNS:
        raise UploadMalformed(
            "malformed_csv", f"the header has more than {MOST_COLUMNS} columns", wanted
        )
    meaning = _meanings(card)
    features = [meaning(cell) for cell in cells]
    if not any(features):
        ledger.problem("missing_header", number, None, wanted)
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
            unknown.append(cell[:80] or f"(column {position + 1}, without a name)")
        elif name in columns:
            ledger.problem("duplicate_column", number, name, f"two columns are {name}")
        else:
            columns[name] = position
    for name in card.feature_names:
        if name not in columns:
            ledger.problem("missing_column", number, name, f"no column is called {name}")
    if ignore_unknown:
        ledger.ignore(unknown)
    else:
        for cell in unknown:
            ledger.problem("unknown_field", number, cell, f"{cell} is not a feature of this model")
    return columns


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def feature_of(cell: str, card: Card) -> str | None:
    """The feature that a column's name means: its name, or one alike but for case and signs."""
    return _meanings(card)(cell)


def _meanings(card: Card) -> Callable[[str], str | None]:
    """`feature_of` for many columns: the card's names are simplified once."""
    exact = set(card.feature_names)
    alike: dict[str, set[str]] = {}
    for feature in card.features:
        for name in (feature.name, feature.title):
            alike.setdefault(_plain(name), set()).add(feature.name)

    def meaning(cell: str) -> str | None:
        if cell in exact:
            return cell
        found = alike.get(_plain(cell), set())
        return next(iter(found)) if len(found) == 1 else None

    return meaning


def _table(block: bytes, number: int, header: Header, bounds: Bounds, ledger: Ledger) -> Values:
    if block.isspace():
        return np.empty((0, len(header.columns)))
    values = None if b'"' in block else fast(block, header)
    if values is None or bounds.refused(values).any():
        values, where = slow(block, number, header, bounds, ledger)
    else:
        where = _where(block, number, len(values))
    if not ledger.count:
        bounds.count_odd(values, where, ledger)
    return values


def fast(block: bytes, header: Header) -> Values | None:
    """All lines at once, or None if anything is unusual."""
    # Latin-1 never fails, and a cell that matters is ASCII anyway.
    lines = block.decode("latin-1").split("\n")
    if not lines[-1]:
        lines.pop()
    same = len(header.columns) == header.width
    if not same and block.count(header.delimiter.encode()) != len(lines) * (header.width - 1):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "no data" in a block of blank lines
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


def _where(block: bytes, number: int, rows: int) -> NDArray[np.int64]:
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if lines == rows:
        return np.arange(number, number + rows)
    numbered = enumerate(block.split(b"\n"), number)
    return np.array([at for at, line in numbered if line.strip()], dtype=np.int64)


def slow(
    block: bytes, number: int, header: Header, bounds: Bounds, ledger: Ledger
) -> tuple[Values, NDArray[np.int64]]:
    """Line by line; whatever is wrong or doubtful is looked at closely, and told to the ledger."""
    text = block.decode("utf-8", "replace")
    lines = [
        (at, line.rstrip("\r")) for at, line in enumerate(text.split("\n"), number) if line.strip()
    ]
    rows = [_quick(line, header) for _, line in lines]
    blank = [0.0] * len(header.columns)
    values = np.array([row or blank for row in rows], dtype=np.float64).reshape(-1, len(blank))
    doubtful = bounds.refused(values) | np.array([row is None for row in rows], dtype=np.bool_)
    for index in np.flatnonzero(doubtful):
        if ledger.full:
            break
        at, line = lines[index]
        values[index] = _row(line, at, header, bounds, ledger)
    return values, np.array([at for at, _ in lines], dtype=np.int64)


def _quick(line: str, header: Header) -> list[float] | None:
    """The numbers of an ordinary line; None for one that has to be looked at closely."""
    # Python reads 1_000 and digits of other scripts as numbers; a table that holds them is wrong.
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


def _row(line: str, at: int, header: Header, bounds: Bounds, ledger: Ledger) -> list[float]:
    values = [0.0] * len(header.columns)
    try:
        cells = next(csv.reader([line], delimiter=header.delimiter, strict=True))
    except csv.Error as error:
        ledger.problem("malformed_line", at, None, f"{error} (a cell must not span lines)")
        return values
    if len(cells) != header.width:
        told = f"{len(cells)} columns, but the header has {header.width}"
        ledger.problem("wrong_column_count", at, None, told)
        return values
    for index, feature in enumerate(bounds.features):
        text = cells[header.columns[index]].strip()
        wrong: tuple[str, str] | None
        if text.lower() in _ABSENT:
            wrong = ("missing_value", f"{feature.name} has no value")
        else:
            number = _number(text)
            if number is None:
                wrong = ("not_a_number", f"{feature.name} is {text[:40]!r}, not a number")
            else:
                values[index] = number
                wrong = judge(feature, number)
        if wrong:
            ledger.problem(wrong[0], at, feature.name, wrong[1])
    return values


def _number(text: str) -> float | None:
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None
