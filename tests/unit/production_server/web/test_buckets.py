"""Buckets: the burst, the rate, and memory that stays bounded."""

from __future__ import annotations

import pytest

from production_server.web.buckets import Buckets


def test_a_burst_and_then_the_rate() -> None:
    buckets = Buckets(rate=2, burst=3)
    assert [buckets.take("a", 10.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", 10.0) == pytest.approx(0.5)
    assert buckets.take("a", 10.4) == pytest.approx(0.1)
    assert buckets.take("a", 10.5) == 0.0
    assert buckets.take("a", 10.5) == pytest.approx(0.5)


def test_waiting_as_told_is_enough() -> None:
    buckets = Buckets(rate=3, burst=1)
    now = 0.0
    for _ in range(1000):
        assert buckets.take("a", now) == 0.0
        now += buckets.take("a", now)


def test_a_bucket_gets_full_and_no_fuller() -> None:
    buckets = Buckets(rate=2, burst=3)
    for _ in range(3):
        buckets.take("a", 0.0)
    assert [buckets.take("a", 1000.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", 1000.0) > 0


def test_over_a_long_time_no_more_than_the_rate_comes_through() -> None:
    buckets = Buckets(rate=5, burst=10)
    let_in = sum(buckets.take("a", number / 100) == 0.0 for number in range(10_000))
    assert 100 * 5 <= let_in <= 100 * 5 + 10


def test_clients_do_not_share_a_bucket() -> None:
    buckets = Buckets(rate=1, burst=1)
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("b", 0.0) == 0.0
    assert buckets.take("a", 0.0) > 0


def test_what_is_given_back_can_be_taken_again() -> None:
    buckets = Buckets(rate=1, burst=1)
    assert buckets.take("a", 0.0) == 0.0
    buckets.give_back("a")
    buckets.give_back("unknown")
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("a", 0.0) > 0


def test_any_number_of_clients_takes_bounded_memory() -> None:
    buckets = Buckets(rate=1, burst=1, most=100)
    for number in range(10_000):
        assert buckets.take(f"2001:db8:0:{number:x}::/64", 0.0) == 0.0
        buckets.take("busy", 0.0)
    assert len(buckets) == 100
    # A flood of others gives no new burst to who keeps sending.
    assert buckets.take("busy", 0.0) > 0
