"""Reads tables with known outcomes: CSV from a path or URL, checked by SHA-256."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from production_server.errors import DataError
from production_server.model.card import Card, Feature

Array = NDArray[np.float64]
MOST_BYTES = 500_000_000  # the whole table is held in memory
_MOST_START = 1 << 16  # bytes of a header
_TIMEOUT_S = 30
_URL_SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class Table:
    """Rows, with values in the order of the features, and the true outcome of each."""

    rows: Array
    truth: Array
    sha256: str


def fetch(source: str, sha256: str = "") -> tuple[bytes, str]:
    """The bytes at a path or HTTP(S) URL, and their SHA-256. Raise if it is not the given one."""
    content = _download(source) if source.lower().startswith(_URL_SCHEMES) else _read(Path(source))
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256.strip().lower():
        raise DataError(
            f"{source} has SHA-256 {found}, expected {sha256}",
            "The data changed or was damaged. Download it again, or correct --sha256.",
        )
    return content, found


def read_table(source: str, card: Card, sha256: str = "") -> Table:
    """Read a table for training or testing. The header must name the card's features."""
    content, found = fetch(source, sha256)
    lines = _lines(content, source)
    places, has_header = columns(lines[0][1], card, source)
    body = lines[1:] if has_header else lines
    if not body:
        raise DataError(f"{source} has a header but no rows", "Add at least one row.")
    values = np.array(
        [_numbers(line, places, number, source, card.classes) for number, line in body], np.float64
    )
    truth = values[:, -1]
    if card.classes and not np.isin(truth, range(len(card.classes))).all():
        raise DataError(
            f"{source}: the column {card.outcome!r} has values that are neither class labels nor "
            f"0 to {len(card.classes) - 1}",
            f"Use the index or the label of a class: {', '.join(card.classes)}.",
        )
    return Table(values[:, :-1], truth, found)


def columns(first: list[str], card: Card, source: str) -> tuple[list[int], bool]:
    """Where the features and the outcome are, by the first line, and whether that is a header."""
    wanted = [*card.features, Feature(name=card.outcome, low=0, high=1, default=0)]
    if len(first) == len(wanted) and all(_is_number(cell) for cell in first):
        # Old copies of the Pima data have no header, and their columns in this order.
        return list(range(len(wanted))), False
    return _places(first, wanted, source), True


def check_start(path: Path, card: Card) -> None:
    """Raise DataError if a table does not start with the columns of the card. It is not read on."""
    with path.open("rb") as file:
        start = file.read(_MOST_START).splitlines()[:1]
    columns(_lines(b"".join(start), path.name)[0][1], card, path.name)


def _lines(content: bytes, source: str) -> list[tuple[int, list[str]]]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{source} is not CSV in UTF-8: {error}", "Save the file as CSV in UTF-8."
        ) from error
    if not lines:
        raise DataError(f"{source} is empty", "It must have a header line and one line per row.")
    return lines


def _places(heading: list[str], wanted: list[Feature], source: str) -> list[int]:
    """The column of each feature, found by its name or an alias."""
    found = [_plain(cell) for cell in heading]
    places: list[int] = []
    for feature in wanted:
        names = {_plain(name) for name in (feature.name, *feature.aliases)}
        here = [place for place, name in enumerate(found) if name in names]
        if len(here) != 1:
            raise DataError(
                f"{source}: the header has {len(here) or 'no'} columns named {feature.name!r}",
                f"It must name each of these once: {', '.join(f.name for f in wanted)}.",
            )
        places += here
    return places


def _numbers(
    line: list[str], order: list[int], number: int, source: str, classes: list[str]
) -> list[float]:
    numbers: list[float] = []
    for place in order:
        cell = line[place].strip() if place < len(line) else ""
        if place == order[-1] and cell in classes:
            numbers.append(float(classes.index(cell)))
            continue
        if not _is_number(cell):
            raise DataError(
                f"{source}, line {number}, column {place + 1}: "
                + (f"{cell!r} is not a finite number" if cell else "the value is missing"),
                "Correct or delete the line.",
            )
        numbers.append(float(cell))
    return numbers


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _plain(heading: str) -> str:
    """Letters and digits only: Blood Pressure, blood_pressure and BloodPressure are the same."""
    return "".join(letter for letter in heading.lower() if letter.isalnum())


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} is larger than {MOST_BYTES} bytes", "Use a sample of it.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror}", "Give the path or URL of a CSV file."
        ) from error


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise DataError(
            f"cannot download {url}: {getattr(error, 'reason', error)}",
            "Check the address and the network, or download the file and pass its path.",
        ) from error
    if len(content) > MOST_BYTES:
        raise DataError(f"{url} is larger than {MOST_BYTES} bytes", "Use a sample of it.")
    return content
