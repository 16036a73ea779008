"""Numbers for people, and sentences with numbers in them."""

from __future__ import annotations

import pytest

from production_server import figures


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "<1%"), (0.004, "<1%"), (0.006, "1%"), (0.5, "50%"), (0.994, "99%"), (0.996, ">99%")],
)
def test_percent_is_never_falsely_certain(value: float, shown: str) -> None:
    assert figures.percent(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (17, "17"),
        (0.05, "0.05"),
        (212.34, "212.3"),
        (-2.5, "-2.5"),
        (20000, "20000"),
        (1234567, "1234567"),
        (1e9, "1e+09"),
        (0.00001234, "1.23e-05"),
    ],
)
def test_numbers_for_people(value: float, shown: str) -> None:
    assert figures.number(value) == shown


@pytest.mark.parametrize(("value", "place"), [(150.0, 25.0), (50.0, 0.0), (900.0, 100.0)])
def test_a_share_stays_between_the_ends(value: float, place: float) -> None:
    assert figures.share(value, 100, 300) == place


def test_a_sentence_takes_values_from_inside_the_prediction() -> None:
    sentence = ("A ", ("percent", ("chances", "a")), ", {b}% ", ("share", "value", 0, 4), ".")
    assert figures.write(sentence, {"chances": {"a": 0.31}, "value": 1}) == "A 31%, {b}% 25.0."
