"""Reading JSON as the body arrives."""

from __future__ import annotations

import gc
import io
import json
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from production_server.errors import RowsRefused, UploadMalformed
from production_server.jobs.intake import PIECE, Body, Limits, chunks
from production_server.jobs.json_rows import LONGEST_ROW, elements, json_tables
from production_server.jobs.ledger import MOST_COUNTED, Ledger
from production_server.model.card import Card


def read(
    data: bytes, card: Card, ledger: Ledger, piece: int = 1000, *, ignore: bool = False
) -> np.ndarray:
    pieces = iter([data[at : at + piece] for at in range(0, len(data), piece)])
    tables = list(json_tables(pieces, card, ledger, ignore_unknown=ignore))
    return np.concatenate(tables) if tables else np.empty((0, len(card.features)))


GOOD: list[dict[str, Any]] = [
    {"age": 30, "blood_pressure": 70, "score": 0.5},
    {"score": -1, "blood_pressure": 80, "age": 40},
]


@pytest.mark.parametrize("piece", [1, 2, 5, 10_000])
@pytest.mark.parametrize(
    "given",
    [GOOD, [[30, 70, 0.5], [40, 80, -1]], [GOOD[0], [40, 80, -1]]],
    ids=["objects", "lists", "both"],
)
def test_rows_are_read_however_the_body_is_split(
    given: list[Any], piece: int, card: Card, rows: Ledger
) -> None:
    for indent in (None, 2):
        values = read(json.dumps(given, indent=indent).encode(), card, rows, piece)
        assert rows.errors() == []
        assert values.tolist() == [[30, 70, 0.5], [40, 80, -1]]


def test_each_problem_has_its_row_field_and_cause(card: Card, rows: Ledger) -> None:
    text = """[[30,70,0], {"age":30,"score":0}, {"age":null,"blood_pressure":70,"score":0},
      ["30",70,0], [true,70,0], [NaN,70,0], [30,Infinity,0], [-1,70,0], [30,70], 7, "x", null,
      [30,70,1e39], [%s,70,0], {"age":30,"blood_pressure":70,"score":0,"id":1}]""" % ("9" * 400)
    read(text.encode(), card, rows)
    assert [(e["code"], e["row"], e["field"]) for e in rows.errors()] == [
        ("missing_value", 1, "blood_pressure"),
        ("missing_value", 2, "age"),
        ("not_a_number", 3, "age"),
        ("not_a_number", 4, "age"),
        ("nan", 5, "age"),
        ("infinite", 6, "blood_pressure"),
        ("impossible", 7, "age"),
        ("wrong_column_count", 8, ""),
        ("not_a_row", 9, ""),
        ("not_a_row", 10, ""),
        ("not_a_row", 11, ""),
        ("infinite", 12, "score"),
        ("infinite", 13, "age"),
        ("unknown_field", 14, "id"),
    ]


def test_unknown_names_can_be_ignored(card: Card, rows: Ledger) -> None:
    text = json.dumps([{**GOOD[0], "id": 1, "name": "x"}, GOOD[1]])
    assert len(read(text.encode(), card, rows, ignore=True)) == 2
    assert rows.count == 0
    assert rows.ignored == ["id", "name"]


def test_implausible_values_are_counted(card: Card, rows: Ledger) -> None:
    read(b"[[30,70,0],[10,0,0],[10,500,0]]", card, rows)
    assert [(w["field"], w["count"], w["first_row"]) for w in rows.warnings()] == [
        ("age", 2, 1),
        ("blood_pressure", 1, 2),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{}",
        "7",
        "[",
        "[[1]",
        "[[1],",
        "[[1],]",
        "[[1] [2]]",
        "[[1]] x",
        "[[1]]]",
        "[,]",
        '[{"a": 1]',
        "[[1,,2]]",
        "nonsense",
        "[" * 100_000,
        '["' + "a" * 50,
    ],
)
@pytest.mark.parametrize("piece", [1, 100_000])
def test_a_body_that_is_not_a_list_is_refused(text: str, piece: int) -> None:
    if piece == 1 and len(text) > 1000:
        piece = 1000
    pieces = iter([text[at : at + piece].encode() for at in range(0, len(text), piece)])
    with pytest.raises(UploadMalformed) as caught:
        list(elements(pieces))
    assert caught.value.code == "malformed_json"


def test_numbers_can_span_pieces() -> None:
    read = list(elements(iter([b"[1", b"23, 4.", b"5e", b"1]"])))
    assert read == [(123, 3), (45.0, 5)]


def test_a_body_that_is_not_text_is_refused() -> None:
    with pytest.raises(UploadMalformed, match="UTF-8"):
        list(elements(iter([b'["\xff\xfe"]'])))


def test_an_endless_row_does_not_fill_the_memory() -> None:
    endless = (
        b'["' + b"x" * (LONGEST_ROW // 4) if n == 0 else b"x" * (LONGEST_ROW // 4)
        for n in range(1_000_000)
    )
    with pytest.raises(UploadMalformed):
        list(elements(endless))


def test_the_parsed_rows_of_a_batch_do_not_fill_the_memory(card: Card, rows: Ledger) -> None:
    row = b"[" + b"[]," * 30_000 + b"[]],"
    tables = json_tables(iter([b"[", *[row] * 100, b"0]"]), card, rows, ignore_unknown=False)
    assert max(len(table) for table in tables) < 20


def test_rows_nested_deeply_take_little_memory(card: Card, rows: Ledger) -> None:
    body = b"[" + b",".join([b"[" * 900 + b"]" * 900] * 600) + b"]"
    pieces = (body[at : at + PIECE] for at in range(0, len(body), PIECE))
    tracemalloc.start()
    try:
        for _ in json_tables(pieces, card, rows, ignore_unknown=False):
            pass
        assert tracemalloc.get_traced_memory()[1] < 15e6
    finally:
        tracemalloc.stop()


def test_a_number_with_too_many_digits_is_refused(card: Card, rows: Ledger) -> None:
    with pytest.raises(UploadMalformed, match="digits"):
        read(b"[[30,70," + b"9" * 5000 + b"]]", card, rows)


def test_white_space_takes_no_time(card: Card, rows: Ledger) -> None:
    started = time.process_time()
    values = read(b"[" + b" \n" * 2_000_000 + b"[30,70,0]]", card, rows, 1 << 16)
    assert len(values) == 1
    assert time.process_time() - started < 0.2


def test_the_check_stops_after_very_many_problems(card: Card, rows: Ledger) -> None:
    text = b"[" + b"0," * 100_000 + b"0]"
    with pytest.raises(RowsRefused):
        list(chunks(body_of(text), "json", card, Limits(10**6, 10**9, 1000), rows, **STRICT))
    assert rows.count == MOST_COUNTED


def body_of(data: bytes) -> Body:
    return Body(io.BytesIO(data), 10**9)


STRICT: dict[str, Any] = {"ignore_unknown": False}


def test_deeply_nested_values_are_not_kept(card: Card, rows: Ledger) -> None:
    """Each garbage collection goes through everything that is kept, and holds up all requests."""
    deep = b"[" * 800 + b"]" * 800
    body = b"[" + b",".join([deep] * 300) + b"]"
    before = len(gc.get_objects())
    most = 0

    def pieces() -> Iterator[bytes]:
        nonlocal most
        for at in range(0, len(body), PIECE):
            most = max(most, len(gc.get_objects()))
            yield body[at : at + PIECE]

    list(json_tables(pieces(), card, rows, ignore_unknown=False))
    assert rows.count == 300
    assert most - before < 10_000


@pytest.mark.parametrize("value", [[1, [2]], {"a": {}}])
def test_a_nested_value_is_reported(value: Any, card: Card, rows: Ledger) -> None:
    table = [{"age": value, "blood_pressure": 70, "score": 0}, [30, value, 0]]
    read(json.dumps(table).encode(), card, rows)
    assert [(e["code"], e["row"], e["field"]) for e in rows.errors()] == [
        ("not_a_number", 0, "age"),
        ("not_a_number", 1, "blood_pressure"),
    ]
    assert '"..."' in rows.errors()[0]["detail"]
