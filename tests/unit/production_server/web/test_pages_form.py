"""What the form and its answer say."""

from __future__ import annotations

import re

import pytest

from production_server.model.card import Card
from production_server.web import form
from production_server.web.problems import FieldProblem, Problem
from production_server.web.request_ids import REQUEST_ID
from tests.unit.production_server.web.cards import BINARY, MULTICLASS, REGRESSION, client


def test_defaults_stand_in_a_fresh_form() -> None:
    fields = form.make_fields(MULTICLASS, None, [])
    assert [(f.label, f.how, f.unit, f.value) for f in fields] == [
        ("Bill", "from tip", "mm", "44.0"),
        ("δ¹⁵N", "", "‰", "8.70"),
    ]


def test_what_was_typed_stays_and_errors_lose_the_field_name() -> None:
    error = FieldProblem(row=0, field="bill", code="x", detail="bill has no value.", remedy="r")
    bill, delta = form.make_fields(MULTICLASS, {"delta": "x"}, [error])
    assert (bill.value, bill.wrong) == ("", "Has no value.")
    assert (delta.value, delta.wrong) == ("x", "")


def test_a_decimal_comma_is_told() -> None:
    error = FieldProblem(row=0, field="bill", code="x", detail="bill is not a number", remedy="")
    bill, _ = form.make_fields(MULTICLASS, {"bill": "39,1"}, [error])
    assert bill.wrong == "Is not a number. Write decimals with a point."


def test_a_keypad_without_minus_only_where_nothing_is_negative() -> None:
    assert [form.keypad(feature) for feature in MULTICLASS.features] == ["decimal", ""]


@pytest.mark.parametrize(
    ("card", "outputs", "sentence"),
    [
        (
            BINARY,
            [0.734],
            "Diabetes: the probability of diabetes is 73%, at or above the threshold of 50%.",
        ),
        (
            BINARY,
            [0.5],
            "Diabetes: the probability of diabetes is 50%, at or above the threshold of 50%.",
        ),
        (
            BINARY,
            [0.002],
            "No diabetes: the probability of diabetes is <1%, below the threshold of 50%.",
        ),
        (MULTICLASS, [0.1, 0.7, 0.2], "Most likely Chinstrap, with 70%."),
        (REGRESSION, [212.34], "House price: 212.3 k€."),
    ],
)
def test_the_answer_in_words(card: Card, outputs: list[float], sentence: str) -> None:
    assert form.make_answer(card, outputs, []).sentence == sentence


def drawn(card: Card, outputs: list[float]) -> str:
    page = client(card, lambda row: outputs)[0].get(
        "/predictions",
        query_string={feature.name: feature.default for feature in card.features},
        headers={"Accept": "text/html"},
    )
    assert page.status_code == 200
    return re.sub(r' data-[a-z]+="[^"]*"', "", page.text)


def test_a_probability_is_drawn_as_a_gauge() -> None:
    page = drawn(BINARY, [0.734])
    assert 'aria-valuenow="73" aria-valuetext="73%"' in page
    assert 'class="fill yes"' in page and 'stroke-dasharray="73.4 100"' in page
    assert '<text class="figure" x="100" y="88" text-anchor="middle">73%</text>' in page
    assert 'class="fill yes"' not in drawn(BINARY, [0.3])


def test_classes_are_drawn_as_bars() -> None:
    page = drawn(MULTICLASS, [0.1, 0.7, 0.2])
    bars = re.findall(
        r'<li class="(.*?)">\s*<span class="name">(.*?)<.*?>(\d+%)<.*? width="([\d.]+)"/></svg>',
        page,
        re.S,
    )
    assert bars == [
        ("", "Adelie", "10%", "10.0"),
        ("chosen", "Chinstrap", "70%", "70.0"),
        ("", "Gentoo", "20%", "20.0"),
    ]


@pytest.mark.parametrize(("value", "width"), [(150.0, 25.0), (50.0, 0.0), (900.0, 100.0)])
def test_a_value_is_drawn_between_the_lowest_and_the_highest(value: float, width: float) -> None:
    page = drawn(REGRESSION, [value])
    assert f'<span id="value">{value:g}</span>' in page
    assert f'class="k0" height="5" rx="1" width="{width}"' in page


def test_warnings_come_with_the_answer() -> None:
    assert form.make_answer(BINARY, [0.734], [{"detail": "odd"}]).warnings == ["odd"]


def test_trouble_lists_fields_or_says_what_to_do() -> None:
    error = FieldProblem(row=0, field="bill", code="x", detail="bill is odd", remedy="")
    problem = Problem(422, "x", "bill is odd", "Mend it.", errors=[error])
    told = form.make_trouble(problem, form.make_fields(MULTICLASS, {}, [error]))
    assert (told.text, [field.name for field in told.fields]) == (
        "One value needs your attention:",
        ["bill"],
    )
    queue = Problem(503, "x", "no worker answered", "Try again.")
    assert form.make_trouble(queue, []).text == "No worker answered. Try again."


def test_a_failure_names_the_request_so_that_it_can_be_found() -> None:
    browser, queue = client(BINARY, lambda row: [0.25])
    queue.broken = True
    scope = {"asgi.scope": {REQUEST_ID: "mine.1"}}
    query = {feature.name: feature.default for feature in BINARY.features}
    page = browser.get("/predictions", query_string=query, environ_overrides=scope)
    assert page.status_code == 503
    assert "Request ID: mine.1" in page.text
