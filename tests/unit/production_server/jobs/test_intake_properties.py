"""For any upload, the fast and the slow parser agree, however the body is split."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from production_server.errors import UploadMalformed
from production_server.jobs import csv_rows, json_rows
from production_server.jobs.ledger import Ledger
from production_server.model.card import Card

PLAIN = st.integers(1, 60).map(str)
ODD = st.sampled_from(
    [
        "",
        "nan",
        "inf",
        "-1",
        "1e5",
        "1e400",
        "x",
        '"1"',
        '"1',
        "1,2",
        "é",
        "\0",
        "1_0",
        " 2 ",
        "\t",
        "NA",
        "٣",
        "0x1",
        "#1",
        "1 2",
        "+",
        ".",
        "1;2",
        "\u2028",
        "\x85",
        "\x0b",
        "\x1c",
        "0",
    ]
)
CELL = st.one_of(PLAIN, PLAIN, PLAIN, ODD)
LINE = st.lists(CELL, min_size=3, max_size=3).map(",".join)
VALUE: st.SearchStrategy[Any] = st.one_of(
    st.integers(1, 60),
    st.floats(1, 60),
    st.sampled_from([0, -1, None, True, "1", [], {}, math.nan, math.inf, 10**400, 1e39]),
)
settings.register_profile(
    "uploads",
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
UPLOADS = settings.get_profile("uploads")


def read_csv(data: bytes, card: Card, piece: int) -> tuple[Any, ...]:
    ledger = Ledger("line", card)
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
    tables = list(csv_rows.csv_tables(pieces, card, ledger, ignore_unknown=False))
    values = np.concatenate(tables).tolist() if tables and not ledger.count else None
    return ledger.count, ledger.errors(), values, ledger.count or ledger.warnings()


@UPLOADS
@given(lines=st.lists(LINE, max_size=8), end=st.sampled_from(["\n", "\r\n"]))
def test_csv(lines: list[str], end: str, card: Card) -> None:
    data = end.join([",".join(card.feature_names), *lines]).encode()
    usual = read_csv(data, card, 10_000)
    assert read_csv(data, card, 1) == usual
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "parse_fast", lambda *_: None)
        assert read_csv(data, card, 10_000) == usual


def read_json(data: bytes, card: Card, piece: int) -> tuple[Any, ...]:
    ledger = Ledger("row", card)
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
    try:
        tables = list(json_rows.json_tables(pieces, card, ledger, ignore_unknown=False))
    except UploadMalformed as error:
        return (error.code,)
    values = np.concatenate(tables).tolist() if tables and not ledger.count else None
    return ledger.count, ledger.errors(), values


@UPLOADS
@given(
    rows=st.lists(st.lists(VALUE, min_size=3, max_size=3), max_size=6),
    named=st.booleans(),
    at=st.integers(0, 200),
    put=st.sampled_from(["", "", "", "]", "[", "{", "}", ",", '"', "\\", "e", "1", "."]),
)
def test_json(rows: list[list[Any]], named: bool, at: int, put: str, card: Card) -> None:
    objects = [dict(zip(card.feature_names, row, strict=True)) for row in rows]
    text = json.dumps(objects if named else rows)
    text = text[:at] + put + text[at:]
    usual = read_json(text.encode(), card, 10_000)
    assert read_json(text.encode(), card, 1) == usual
    try:
        good = isinstance(json.loads(text), list)
    except ValueError:
        good = False
    assert good == (len(usual) > 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "parse_fast", lambda *_: None)
        assert read_json(text.encode(), card, 10_000) == usual
