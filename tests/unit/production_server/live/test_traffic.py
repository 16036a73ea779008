"""Rates and latencies from two readings of the counters."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from production_server.live.traffic import Reading, between, quantile, reading
from production_server.web.metrics import Metrics

INF = float("inf")


def test_a_reading_has_what_the_metrics_say() -> None:
    metrics = Metrics(None, CollectorRegistry())
    metrics.requests.labels("/predict", "200").inc(3)
    metrics.seconds.labels("/predict").observe(0.02)
    metrics.seconds.labels("/jobs").observe(4)
    metrics.failures.labels("no_answer").inc(2)
    metrics.batch(5, 0.1, 0.05)
    metrics.waiting(7)
    metrics.blocked(True)
    got = reading(1.0, metrics.families())
    assert got.requests == {("/predict", "200"): 3}
    assert got.failures == {"no_answer": 2}
    assert (got.rows, got.waiting, got.blocked) == (5, 7, True)
    assert got.buckets[0.01] == 0
    assert got.buckets[0.025] == got.buckets[INF] == 1


def test_rates_are_of_the_time_between_two_readings() -> None:
    old = Reading(10.0, {("/predict", "200"): 100, ("/predict", "503"): 1}, {"no_answer": 1})
    requests = {
        ("/predict", "200"): 120,
        ("/predict", "503"): 5,
        ("/predict", "422"): 2,
        ("/ready", "503"): 50,
        ("/metrics", "200"): 9,
    }
    new = Reading(14.0, requests, {"no_answer": 5, "invalid_rows": 2}, rows=40)
    got = between(old, new)
    assert (got.predictions, got.requests, got.rows) == (5.0, 6.5, 10.0)
    assert (got.failed, got.refused) == (1.0, 0.5)
    assert got.codes == (("no_answer", 1.0), ("invalid_rows", 0.5))


def test_a_restart_gives_no_negative_rates() -> None:
    old = Reading(1.0, {("/predict", "200"): 1000}, {"a": 9}, {0.1: 50, INF: 60}, rows=2000)
    got = between(old, Reading(2.0, {("/predict", "200"): 3}, {"a": 1}, {0.1: 2, INF: 3}, rows=4))
    assert (got.predictions, got.rows, got.codes, got.median) == (0, 0, (), None)


def test_two_readings_at_the_same_time_do_not_fail() -> None:
    assert between(Reading(1.0), Reading(1.0)).predictions == 0


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({0.1: 0, INF: 0}, 0.5, None),
        ({0.1: 10, 0.2: 10, INF: 10}, 0.5, 0.05),
        ({0.1: 0, 0.2: 10, INF: 10}, 0.5, 0.15),
        ({0.1: 5, 0.2: 10, INF: 10}, 0.95, 0.19),
        # All that is known is that it took longer.
        ({0.1: 1, 0.2: 1, INF: 10}, 0.95, 0.2),
    ],
)
def test_quantiles_of_a_histogram(
    buckets: dict[float, float], share: float, expected: float | None
) -> None:
    assert quantile(buckets, share) == pytest.approx(expected)
