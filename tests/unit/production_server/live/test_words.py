"""Figures as people read them, and both versions of a trial side by side."""

from __future__ import annotations

import time
from typing import Any

import pytest

from production_server.live import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.004, "0.004"), (0.46, "0.46"), (3, "3"), (10.34, "10.3"), (12345.6, "12,346")],
)
def test_rates(value: float, text: str) -> None:
    assert words.rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.00035, "0.3 ms"), (0.0042, "4.2 ms"), (0.25, "250 ms"), (2.34, "2.3 s")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert words.took(seconds) == text


def test_times_have_their_day_unless_it_is_today() -> None:
    assert words.clock(0) == "01 Jan, 00:00"
    assert words.clock(time.time()).count(":") == 2


def side(requests: int, **more: Any) -> dict[str, Any]:
    return {
        "requests": requests,
        "failure_share": 0.004 if requests else None,
        "seconds": {"median": 0.004, "p95": 0.02},
        "answers": {"shares": {"no": 0.75, "yes": 0.25}},
        "shadow": {"compared": 0, "agreed": 0},
        "outcomes": {"count": 0, "accuracy": None},
        **more,
    }


def test_two_versions_side_by_side() -> None:
    shadow = {"compared": 200, "agreed": 190}
    known = {"count": 40, "accuracy": 0.775}
    lines = dict(words.compared({"a-1": side(1000), "a-2": side(0, shadow=shadow, outcomes=known)}))
    assert lines["Requests"] == ["1,000", "0"]
    assert lines["Failures"] == ["0.40%", "–"]
    assert lines["Answered yes"] == ["25.0%", "25.0%"]
    assert lines["Same answer"] == ["–", "95.0%"]
    assert lines["Came true"] == ["–", "77.5%"]
    assert "Mean answer" not in lines


def test_versions_that_predict_values() -> None:
    told = side(9, answers={"mean": 12.3456}, outcomes={"count": 3, "mean_absolute_error": 0.51})
    lines = dict(words.compared({"a-1": told}))
    assert (lines["Mean answer"], lines["Mean error"]) == (["12.35"], ["0.51"])
    assert words.compared({}) == [
        ("Requests", []),
        ("Failures", []),
        ("Median latency", []),
        ("95% below", []),
    ]
