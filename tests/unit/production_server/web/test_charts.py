"""The charts: right places, right words, safe and well-formed markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from production_server.web import charts
from production_server.web.charts import LEFT, PERCENT_TICKS, PLOT, TOP, Bin, Dot

SHARE = st.floats(0, 1)


def parsed(chart: Markup) -> ElementTree.Element:
    root = ElementTree.fromstring(str(chart))
    assert root.get("role") == "img" and root.get("aria-label")
    assert "style=" not in chart
    return root


def path(chart: Markup, kind: str) -> list[tuple[float, float]]:
    found = next(e for e in parsed(chart).iter("path") if (e.get("class") or "").startswith(kind))
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", found.get("d") or "")]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_roc_runs_from_corner_to_corner() -> None:
    chart = charts.roc_chart([(0, 0), (0.25, 0.5), (1, 1)], 0.8374)
    assert path(chart, "curve") == [
        (LEFT, TOP + PLOT),
        (LEFT + PLOT / 4, TOP + PLOT / 2),
        (LEFT + PLOT, TOP),
    ]
    assert "AUC 0.84" in chart and "area under it 0.84" in chart
    assert "AUC" not in charts.roc_chart([(0, 0), (1, 1)], None)


def test_calibration_skips_empty_bins_and_sizes_dots_by_count() -> None:
    bins = [Bin(0.75, 0.5, 25), Bin(0.25, 0.5, 100), Bin(0.5, 0.5, 0)]
    dots = list(parsed(charts.calibration_chart(bins)).iter("circle"))
    assert [float(dot.get("cx") or 0) for dot in dots] == [LEFT + PLOT / 4, LEFT + PLOT * 3 / 4]
    assert [float(dot.get("r") or 0) for dot in dots] == [10, 6.5]
    assert "observed 50%, 100 cases" in charts.calibration_chart(bins)
    assert not list(parsed(charts.calibration_chart([])).iter("circle"))


def test_dots_stand_in_their_lane_and_column() -> None:
    dots = [Dot(0, 0.01, 0, "a"), Dot(0, 0.02, 1, "b"), Dot(1, 1.0, 1, "<c>")]
    chart = charts.dot_chart(
        dots,
        ["no", "yes & more"],
        ticks=PERCENT_TICKS,
        axis="P",
        label="three",
        mark=(0.5, "yes from here"),
    )
    circles = {dot[0].text: dot for dot in parsed(chart).iter("circle")}
    assert set(circles) == {"a", "b", "<c>"}
    place = {k: (float(c.get("cx") or 0), float(c.get("cy") or 0)) for k, c in circles.items()}
    assert place["a"][0] == place["b"][0] < place["<c>"][0]
    assert place["b"][1] < place["a"][1] < place["<c>"][1]
    assert [circles[k].get("class") for k in ("a", "b", "<c>")] == ["k0", "k1", "k1"]
    assert "yes &amp; more" in chart and "yes from here" in chart


@given(st.lists(st.tuples(st.integers(0, 2), SHARE, st.integers(0, 9)), max_size=80))
def test_dots_never_overlap_or_leave_the_chart(cases: list[tuple[int, float, int]]) -> None:
    dots = [Dot(lane, x, colour, "t") for lane, x, colour in cases]
    root = parsed(
        charts.dot_chart(dots, ["a", "b", "c"], ticks=PERCENT_TICKS, axis="", label="all")
    )
    height = float((root.get("viewBox") or "").split()[3])
    circles = [[float(c.get(k) or 0) for k in ("cx", "cy", "r")] for c in root.iter("circle")]
    assert len(circles) == len(dots)
    assert len({(x, y) for x, y, _ in circles}) == len(dots)
    assert all(r <= x <= charts.WIDTH - r and r <= y <= height - r for x, y, r in circles)


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_enclose_any_span_with_a_few_round_numbers(low: float, width: float) -> None:
    ticks = charts.value_ticks(low, low + width)
    slack = 1e-6 * max(1.0, abs(low), width)
    assert ticks[0][0] <= low + slack and low + width <= ticks[-1][0] + slack
    assert 2 <= len(ticks) <= 8


def test_scatter_puts_exact_answers_on_the_diagonal() -> None:
    circles = list(parsed(charts.scatter_chart([10, 20, 35], [10, 20, 35], "kg")).iter("circle"))
    for circle in circles:
        across = float(circle.get("cx") or 0) - LEFT
        up = TOP + PLOT - float(circle.get("cy") or 0)
        assert across == pytest.approx(up, abs=0.11)
    assert "Actual (kg)" in charts.scatter_chart([1], [2], "kg")


@pytest.mark.parametrize(("threshold", "x"), [(0.0, 20), (0.5, 100), (1.0, 180)])
def test_the_gauge_marks_its_threshold(threshold: float, x: float) -> None:
    line = ElementTree.fromstring(str(charts.gauge_mark(threshold)))
    middle = (float(line.get("x1") or 0) + float(line.get("x2") or 0)) / 2
    assert middle == pytest.approx(x, abs=0.1)
