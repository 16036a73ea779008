"""Reads a JSON list of rows, as it arrives, and checks the numbers.

A row is an object that maps feature names to numbers, or a list of numbers in the order of the
card's features. Only one row's text is held in memory at a time.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from production_server.batch_sizes import LARGEST_BATCH
from production_server.errors import UploadMalformed
from production_server.jobs.ledger import Bounds, Ledger, Values, check_value
from production_server.model.card import Card, Feature

# Characters of one row, and of the rows that are parsed at once. Both limit the memory, because
# parsed JSON can take up to 60 times its size.
LONGEST_ROW = 1 << 17
BATCH_CHARACTERS = 1 << 17
_NESTED = frozenset({list, dict})
_SPACE = re.compile(r"[ \t\r\n]*")
_REMEDY = "Send a JSON list of objects (feature names to numbers) or of lists of numbers."
_INVALID = "the body is not valid JSON, or it is incomplete"


def json_tables(
    pieces: Iterator[bytes], card: Card, ledger: Ledger, *, ignore_unknown: bool
) -> Iterator[Values]:
    """Float64 tables, in the order of the card's features. Problems go to the ledger."""
    bounds = Bounds(card)
    number = 0
    batch: list[Any] = []
    size = 0
    for element, characters in elements(pieces):
        batch.append(flat(element))
        size += characters
        if len(batch) == LARGEST_BATCH or size > BATCH_CHARACTERS:
            yield _table(batch, number, bounds, ledger, ignore_unknown)
            number += len(batch)
            batch, size = [], 0
    if batch:
        yield _table(batch, number, bounds, ledger, ignore_unknown)


def elements(pieces: Iterator[bytes]) -> Iterator[tuple[Any, int]]:
    """The elements of the list in the body, one by one, each with its length."""
    decode = json.JSONDecoder().raw_decode
    texts = _texts(pieces)
    text, at = _skip_space("", 0, texts)
    if text[at : at + 1] != "[":
        raise _malformed("the body is not a JSON list", 0)
    count = 0
    text, at = _skip_space(text, at + 1, texts)
    while text[at : at + 1] != "]":
        while True:
            try:
                element, end = decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                text, at, end = text[at:], 0, -1
            except ValueError:  # Python parses integers of at most 4,300 digits
                raise _malformed("a number has too many digits", count) from None
            # A number at the end of the text may continue in the next piece.
            if 0 <= end < len(text) and text[end] not in ".eE":
                break
            more = next(texts, "") if len(text) - at <= LONGEST_ROW else ""
            if not more:
                raise _malformed(_INVALID, count)
            text, at = text[at:] + more, 0
        count += 1
        yield element, end - at
        text, at = _skip_space(text, end, texts)
        following = text[at : at + 1]
        if following == ",":
            text, at = _skip_space(text, at + 1, texts)
            if text[at : at + 1] != "]":
                continue
        if following != "]":
            raise _malformed(_INVALID, count)
    text, at = _skip_space(text, at + 1, texts)
    if text[at:]:
        raise _malformed("the body continues after the list", count)


def flat(element: Any) -> Any:
    """The element, with nothing inside of the lists and objects that are its values.

    They are no numbers anyway, and can hold so many others that each collection of garbage takes
    long.
    """
    if type(element) is dict:
        if _NESTED.isdisjoint(map(type, element.values())):
            return element
        return {name: _emptied(value) for name, value in element.items()}
    if type(element) is not list or _NESTED.isdisjoint(map(type, element)):
        return element
    return [_emptied(value) for value in element]


def _emptied(value: Any) -> Any:
    if type(value) is list:
        return ["..."]
    return {"...": "..."} if type(value) is dict else value


def _skip_space(text: str, at: int, texts: Iterator[str]) -> tuple[str, int]:
    """Skip white space, reading more text as needed. text[at:] is empty at the end of the body."""
    while True:
        if space := _SPACE.match(text, at):
            at = space.end()
        if at < len(text):
            return text, at
        text, at = next(texts, ""), 0
        if not text:
            return "", 0


def _texts(pieces: Iterator[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for piece in pieces:
            if text := decoder.decode(piece):
                yield text
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UploadMalformed("malformed_json", "the body is not UTF-8 text", _REMEDY) from None


def _malformed(what: str, row: int) -> UploadMalformed:
    return UploadMalformed("malformed_json", f"{what} (at row {row})", _REMEDY)


def _table(
    batch: list[Any], number: int, bounds: Bounds, ledger: Ledger, ignore_unknown: bool
) -> Values:
    values = parse_fast(batch, bounds.features)
    if values is None or bounds.refused(values).any():
        names = [feature.name for feature in bounds.features]
        rows = [_parse_row(element, names) for element in batch]
        blank = [0.0] * len(names)
        values = np.array([row or blank for row in rows], dtype=np.float64)
        suspect = bounds.refused(values) | np.array([row is None for row in rows], dtype=np.bool_)
        for index in np.flatnonzero(suspect):
            if ledger.full:
                break
            at = number + int(index)
            values[index] = _check_row(batch[index], at, bounds, ledger, ignore_unknown)
    if not ledger.count:
        bounds.count_implausible(values, np.arange(number, number + len(batch)), ledger)
    return values


def parse_fast(batch: list[Any], features: list[Feature]) -> Values | None:
    """Parse all rows at once; None if anything is unusual."""
    width = len(features)
    kinds = set(map(type, batch))
    if not kinds <= {dict, list} or set(map(len, batch)) != {width}:
        return None
    if dict in kinds:
        if list in kinds:
            return None
        names = [feature.name for feature in features]
        try:
            batch = [[row[name] for name in names] for row in batch]
        except KeyError:
            return None
    if not set(map(type, chain.from_iterable(batch))) <= {int, float}:
        return None
    try:
        return np.array(batch, dtype=np.float64)
    except OverflowError:
        return None


def _parse_row(element: Any, names: list[str]) -> list[float] | None:
    """The numbers of an ordinary row; None for one that must be checked value by value."""
    if type(element) is dict:
        if len(element) != len(names):
            return None
        element = [element.get(name) for name in names]
    if type(element) is not list or len(element) != len(names):
        return None
    if not set(map(type, element)) <= {int, float}:
        return None
    try:
        return [float(value) for value in element]
    except OverflowError:
        return None


def _check_row(
    element: Any, at: int, bounds: Bounds, ledger: Ledger, ignore_unknown: bool
) -> list[float]:
    """The numbers of a row; its problems go to the ledger."""
    features = bounds.features
    values = [0.0] * len(features)
    if isinstance(element, list):
        if len(element) != len(features):
            detail = (
                f"the row has {len(element)} values, but the model has {len(features)} features"
            )
            ledger.problem("wrong_column_count", at, None, detail)
            return values
        element = {feature.name: value for feature, value in zip(features, element, strict=True)}
    if not isinstance(element, dict):
        ledger.problem("not_a_row", at, None, "the row is neither an object nor a list of numbers")
        return values
    unknown = element.keys() - {feature.name for feature in features}
    if ignore_unknown:
        ledger.ignore(sorted(unknown))
    else:
        for name in sorted(unknown):
            ledger.problem(
                "unknown_field", at, name[:80], f"{name[:80]} is not a feature of this model"
            )
    for index, feature in enumerate(features):
        problem, values[index] = _parse_value(feature, element.get(feature.name))
        if problem:
            ledger.problem(problem[0], at, feature.name, problem[1])
    return values


def _parse_value(feature: Feature, value: Any) -> tuple[tuple[str, str] | None, float]:
    if value is None:
        return ("missing_value", f"{feature.name} has no value"), 0.0
    if type(value) not in (int, float):  # bool is a subclass of int
        shown = json.dumps(value)[:40]
        return ("not_a_number", f"{feature.name} is not a number: {shown}"), 0.0
    try:
        number = float(value)
    except OverflowError:
        return ("infinite", f"{feature.name} is too large"), 0.0
    return check_value(feature, number), number
