"""How `scripts/bench training` compares answers with and without a training."""

from __future__ import annotations

import pytest
from benchmarks.training import Found, Part


def part(*milliseconds: float) -> Part:
    return Part([one / 1000 for one in milliseconds])


def test_the_slowest_hundredth_decides() -> None:
    assert part(*[1.0] * 199, 900.0).p99_ms == pytest.approx(1.0)
    assert part(*[1.0] * 97, 5.0, 5.0, 900.0).p99_ms == pytest.approx(5.0)
    assert part(7.0).p99_ms == pytest.approx(7.0)


def test_each_round_is_compared_with_itself() -> None:
    found = Found(
        quiet=[part(10.0), part(100.0), part(10.0)], training=[part(15.0), part(100.0), part(30.0)]
    )
    assert found.ratio == pytest.approx(1.5)
