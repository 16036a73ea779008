"""Rows of requests: what is accepted, what is told apart, what is only odd."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from production_server.model.card import Card, Feature
from production_server.web.problems import Problem
from production_server.web.rows import RowSchema

CARD = Card(
    name="demo",
    version="demo-1",
    kind="binary",
    target="Demo",
    classes=["no", "yes"],
    features=[
        Feature(
            name="glucose",
            unit="mg/dL",
            low=40,
            high=200,
            default=110,
            minimum=0,
            zero_is_missing=True,
        ),
        Feature(name="drift", low=-5, high=5, default=0),
    ],
)
SCHEMA = RowSchema(CARD, max_rows=3)


def problem(body: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        SCHEMA.from_json(body)
    return caught.value


def test_values_are_packed_in_the_order_of_the_card() -> None:
    rows, single = SCHEMA.from_json(b'{"drift": -1.5, "glucose": 99}')
    assert single
    assert struct.unpack("<2f", rows.packed) == (99.0, -1.5)
    assert rows.warnings == [[]]


def test_a_list_is_many_rows() -> None:
    rows, single = SCHEMA.from_json(b' [{"glucose": 1, "drift": 0}, {"glucose": 2, "drift": 0}]')
    assert (rows.count, single) == (2, False)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"null", "missing_value"),
        (b'""', "missing_value"),
        (b'"148"', "not_a_number"),
        (b"true", "not_a_number"),
        (b"[1]", "not_a_number"),
        (b"NaN", "nan"),
        (b"Infinity", "infinite"),
        (b"1e999", "infinite"),
        (b"1e300", "infinite"),
        (b"-1", "impossible"),
    ],
)
def test_bad_values_are_told_apart(value: bytes, code: str) -> None:
    found = problem(b'{"drift": 0, "glucose": %s}' % value)
    assert (found.status, found.code) == (422, "invalid_rows")
    assert [(error.field, error.code) for error in found.errors] == [("glucose", code)]
    assert "40 to 200 mg/dL" in found.errors[0].remedy
    assert "0 where it was not measured" in found.errors[0].remedy


def test_a_missing_and_a_misspelt_name() -> None:
    found = problem(b'[{"drift": 0, "glucose": 1}, {"drift": 0, "glucos": 1}]')
    told = {(error.row, error.field): error for error in found.errors}
    assert told[1, "glucose"].code == "missing_value"
    assert told[1, "glucos"].code == "unknown_field"
    assert "Did you mean glucose?" in told[1, "glucos"].remedy


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff", 400, "malformed_json"),
        (b"3", 422, "invalid_rows"),
        (b"[1]", 422, "invalid_rows"),
        (b"[]", 422, "no_rows"),
        (b"[%s]" % b",".join([b'{"drift": 0, "glucose": 1}'] * 4), 413, "too_many_rows"),
    ],
)
def test_bodies_that_are_no_rows(body: bytes, status: int, code: str) -> None:
    found = problem(body)
    assert (found.status, found.code) == (status, code)
    assert found.remedy


def test_out_of_the_plausible_range_is_a_warning() -> None:
    rows, _ = SCHEMA.from_json(b'{"glucose": 900, "drift": -6}')
    assert [warning["field"] for warning in rows.warnings[0]] == ["glucose", "drift"]
    assert "40 to 200 mg/dL" in rows.warnings[0][0]["detail"]


def test_zero_for_a_missing_measurement_is_no_warning() -> None:
    rows, _ = SCHEMA.from_json(b'{"glucose": 0, "drift": 0}')
    assert rows.warnings == [[]]


def test_a_query_string_is_read_as_texts() -> None:
    rows = SCHEMA.from_texts({"glucose": "148", "drift": "1e0"})
    assert struct.unpack("<2f", rows.packed) == (148.0, 1.0)


def test_a_form_tells_problems_by_field() -> None:
    values, _, problems = SCHEMA.check_form({"glucose": "abc", "other": "ignored"})
    assert values == []
    assert {name: error.code for name, error in problems.items()} == {
        "glucose": "not_a_number",
        "drift": "missing_value",
    }


def test_only_the_first_problems_are_listed_but_all_are_counted() -> None:
    many = RowSchema(CARD, max_rows=100)
    with pytest.raises(Problem) as caught:
        many.from_json(b"[%s]" % b",".join([b'{"drift": 0}'] * 50))
    assert len(caught.value.errors) == 20
    assert caught.value.more == {"error_count": 50}


@given(st.binary(max_size=60))
def test_no_body_breaks_the_check(body: bytes) -> None:
    try:
        rows, _ = SCHEMA.from_json(body)
    except Problem as found:
        assert found.status in (400, 413, 422)
    else:
        assert len(rows.packed) == rows.count * 8
