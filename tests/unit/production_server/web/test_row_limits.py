"""What a hostile body costs, and that a list in slices gives what the whole list gives."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from production_server.web import row_limits, row_slices, rows
from production_server.web.problems import Problem
from production_server.web.row_slices import Arriving, OddElement, slices
from production_server.web.rows import Rows, RowSchema
from tests.unit.production_server.web.cards import BINARY

SCHEMA = RowSchema(BINARY, max_rows=10_000)
ROW = json.dumps({feature.name: feature.default for feature in BINARY.features}).encode()
LARGEST = 10_240_000
# What the server reads at once.
PART = 1 << 16
MEGABYTE = 1e6


def body_of(item: bytes, count: int, start: bytes = b"[", end: bytes = b"]") -> bytes:
    return start + b",".join([item] * count) + end


HOSTILE = {
    "unknown names": (b"{%s}" % b",".join(b'"k%d":1' % n for n in range(800_000)), "row_too_large"),
    "unknown names in each row": (
        body_of(b"{%s}" % b",".join(b'"k%d":1' % n for n in range(28)), 10_000),
        "invalid_rows",
    ),
    "rows full of names": (body_of(body_of(b'"":0', 800, b"{", b"}"), 2000), "row_too_large"),
    "equal names": (body_of(b'"glucose":1', 800_000, b"{", b"}"), "row_too_large"),
    "many equal names in 4 KiB": (body_of(b'"":1', 800, b"{", b"}"), "row_too_large"),
    "empty rows": (body_of(b"{}", 3_000_001), "invalid_rows"),
    "empty rows in 15 KB": (body_of(b"{}", 5000), "invalid_rows"),
    "numbers": (body_of(b"0", 5_000_000), "invalid_rows"),
    "numbers in 16 KB": (body_of(b"0", 8000), "invalid_rows"),
    "lists": (body_of(b"[]", 3_000_000), "invalid_rows"),
    "nested": (b"[" * 10_000_000, "malformed_json"),
    "nested objects": (b'[{"a":' * 9_000, "malformed_json"),
    "digits": (b'{"glucose":%s}' % (b"1" * 10_000_000), "row_too_large"),
    "digits in a list": (b'[{"glucose":%s}]' % (b"1" * 10_000_000), "row_too_large"),
    "a long name": (b'{"%s":1}' % (b"g" * 10_000_000), "row_too_large"),
    "a long text": (b'["%s"]' % (b"a" * 10_000_000), "row_too_large"),
    "an endless text": (b'["%s' % (b"a" * 10_000_000), "row_too_large"),
    "backslashes": (b'[{"%s":1}]' % (b"\\\\" * 5_000_000), "row_too_large"),
    "white space": (b" " * 10_000_000, "row_too_large"),
    "white space in a list": (b"[" + b" " * 10_000_000, "malformed_json"),
    "white space after a row": (b"[%s%s;" % (ROW, b" " * 10_000_000), "malformed_json"),
    "nested after a row": (b"[%s,%s" % (ROW, b"[" * 10_000_000), "malformed_json"),
    "digits after rows": (
        b"[%s%s" % ((ROW + b",") * 500, b'{"glucose":' + b"1" * 10_000_000),
        "row_too_large",
    ),
    "braces in texts": (body_of(b'{"glucose":"},{"}', 500_000), "invalid_rows"),
    "quotes": (b"[" + b'"' * 10_000_000, "invalid_rows"),
    "too large numbers": (
        body_of(ROW.replace(b'"diabetes_pedigree": ', b'"diabetes_pedigree": 1e300, "x": '), 9000),
        "invalid_rows",
    ),
}


def problem(body: bytes, schema: RowSchema = SCHEMA) -> Problem:
    with pytest.raises(Problem) as caught:
        schema.from_json(body)
    return caught.value


def arrive(schema: RowSchema, parts: Iterable[bytes]) -> Rows:
    """Check a body while it arrives; the last part is the empty one."""
    body = Arriving(bytearray(), complete=False)
    steps = schema.steps(body)
    for part in parts:
        body.data += part
        body.complete = not part
        try:
            while not next(steps):
                pass
        except StopIteration as end:
            made: Rows = end.value
            return made
    raise AssertionError("the body is complete, but its check is not")


def parts_of(body: bytes, size: int) -> Iterator[bytes]:
    yield from (body[at : at + size] for at in range(0, len(body), size))
    yield b""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_costs_little(name: str) -> None:
    body, code = HOSTILE[name]
    started = time.process_time()
    with pytest.raises(Problem) as caught:
        arrive(SCHEMA, parts_of(body[:LARGEST], PART))
    assert caught.value.code == code
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_takes_little_memory_and_gets_a_short_answer(name: str) -> None:
    body = HOSTILE[name][0][:LARGEST]
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as caught:
            arrive(SCHEMA, parts_of(body, PART))
        assert tracemalloc.get_traced_memory()[1] < 2 * MEGABYTE
    finally:
        tracemalloc.stop()
    assert len(caught.value.body()) < 10_000


@pytest.mark.parametrize(
    "name", set(HOSTILE) - {"white space in a list", "white space after a row"}
)
def test_a_hostile_body_is_refused_at_its_first_bad_row(name: str) -> None:
    taken = 0

    def parts() -> Iterator[bytes]:
        nonlocal taken
        for part in parts_of(HOSTILE[name][0], PART):
            taken += len(part)
            yield part

    with pytest.raises(Problem):
        arrive(SCHEMA, parts())
    assert taken <= 6 * PART


def test_names_and_values_are_cut_in_the_answer() -> None:
    found = problem(b'{"%s": 1, "glucose": "%s"}' % (b"n" * 2000, b"v" * 1000))
    assert {error.field for error in found.errors} >= {"n" * 80, "glucose"}
    assert max(len(error.detail) for error in found.errors) < 200


def test_a_card_with_many_features_may_have_large_rows() -> None:
    features = [BINARY.features[0].model_copy(update={"name": f"feature_{n}"}) for n in range(2000)]
    schema = RowSchema(BINARY.model_copy(update={"features": features}), max_rows=10_000)
    row = {feature.name: feature.default for feature in features}
    assert schema.from_json(json.dumps(row).encode())[0].count == 1
    assert schema.from_json(json.dumps([row] * 3).encode())[0].count == 3
    found = problem(json.dumps({**row, "other": 1}).encode(), schema)
    assert found.errors[0].field == "other"
    assert len(found.errors[0].remedy) < 2000


@pytest.mark.parametrize("bad", [0, 63, 64, 65, 200, 299])
@pytest.mark.parametrize("value", [b"{}", b"7", b"[{}]", b'{"a": [1]}', b'"x"', b"null"])
def test_the_row_with_a_problem_is_named(bad: int, value: bytes) -> None:
    items = [value if number == bad else ROW for number in range(300)]
    found = problem(b"[" + b" ,\n".join(items) + b"]\n")
    assert (found.status, found.code) == (422, "invalid_rows")
    assert {error.row for error in found.errors} == {bad}


@pytest.mark.parametrize(
    "end", [b",]", b"", b",", b"]]", b"] x", b"{}]", b";]", b"nonsense]", b'{"a":', b"}]"]
)
def test_a_list_that_is_malformed_at_its_end(end: bytes) -> None:
    body = b"[" + b",".join([ROW] * 300) + end
    assert (problem(body).status, problem(body).code) == (400, "malformed_json")


def test_the_rows_may_be_as_many_as_allowed_and_no_more() -> None:
    assert SCHEMA.from_json(body_of(ROW, 10_000))[0].count == 10_000
    assert problem(body_of(ROW, 10_001)).code == "too_many_rows"


def test_white_space_between_rows_is_no_part_of_them() -> None:
    space = b" \n" * 5000
    body = space[:4000] + b"[" + (b"," + space).join([ROW + space] * 300) + b"]" + space
    assert SCHEMA.from_json(body)[0].count == 300


@pytest.fixture
def slicing(monkeypatch: pytest.MonkeyPatch) -> RowSchema:
    """A schema that checks even short lists in slices of 3 rows."""
    for module in (row_limits, rows):
        monkeypatch.setattr(module, "TINY_BYTES", 0)
    for slicer in (row_limits, row_slices):
        monkeypatch.setattr(slicer, "SLICE_ROWS", 3)
    schema = RowSchema(BINARY, max_rows=10)
    schema.limits = replace(schema.limits, slice_bytes=0)
    return schema


TOKENS = st.sampled_from(
    [
        ROW,
        b"{}",
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b" ",
        b"\n",
        b":",
        b'"',
        b"\\",
        b"1",
        b'"a"',
        b"null",
    ]
)
ITEMS = st.lists(st.sampled_from([ROW] * 6 + [b"{}", b"1", b'{"a":[]}', b"\\", b""]), max_size=12)
BODIES = st.one_of(
    st.lists(TOKENS, max_size=12).map(lambda tokens: b"[" + b"".join(tokens)),
    st.tuples(ITEMS, st.sampled_from([b",", b" , ", b"\n,"])).map(
        lambda made: b"[" + made[1].join(made[0]) + b"]"
    ),
)


def outcome(check: Callable[[], Rows]) -> tuple[Any, ...]:
    try:
        made = check()
    except Problem as found:
        return found.code, [(error.row, error.field, error.code) for error in found.errors[:1]]
    return made.packed, made.count, list(made.warnings)


def test_slices_and_the_whole_agree(slicing: RowSchema) -> None:
    whole = RowSchema(BINARY, max_rows=10)
    seen: set[Any] = set()

    @settings(max_examples=500, deadline=None)
    @given(body=BODIES)
    def check(body: bytes) -> None:
        sliced = outcome(lambda: slicing.from_json(body)[0])
        expected = outcome(lambda: whole.from_json(body)[0])
        seen.add(expected[0] if isinstance(expected[0], str) else "rows")
        if expected[0] in ("malformed_json", "too_many_rows"):
            # A list may have both kinds of faults: the slices find the first one.
            assert sliced[0] in ("malformed_json", "too_many_rows", "invalid_rows")
        else:
            assert sliced == expected

    check()
    assert seen >= {"rows", "invalid_rows", "malformed_json", "no_rows"}


def test_the_parts_in_which_a_body_arrives_do_not_matter(slicing: RowSchema) -> None:
    slicing.limits = replace(slicing.limits, row_bytes=len(ROW))
    early = 0

    @settings(max_examples=500, deadline=None)
    @given(body=BODIES, size=st.integers(1, 400))
    def check(body: bytes, size: int) -> None:
        nonlocal early
        left = parts_of(body, size)
        assert outcome(lambda: arrive(slicing, left)) == outcome(
            lambda: arrive(slicing, iter([body, b""]))
        )
        early += any(left)

    check()
    assert early


@given(st.binary(max_size=80))
def test_no_bytes_break_the_slices(body: bytes) -> None:
    limits = replace(SCHEMA.limits, slice_bytes=0)
    try:
        parts = list(slices(Arriving(bytearray(b"[" + body), complete=True), limits))
    except (Problem, OddElement):
        return
    for part in parts:
        assert part
        with pytest.raises((ValidationError, Problem)):
            SCHEMA.many.validate_json(part.text)
