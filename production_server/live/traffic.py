"""Rates and latencies of the last seconds, from two readings of the counters.

Pure functions: the counters come from the metrics of all web processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.metrics_core import Metric

PREDICT = "/predict"
# Requests that tell nothing about the use of the service: probes, monitors and this page.
OWN_ROUTES = frozenset(
    {
        "/alive",
        "/metrics",
        "/operations",
        "/operations/events",
        "/ping",
        "/ready",
        "/static/<path:filename>",
    }
)


@dataclass(frozen=True)
class Reading:
    """The counters at one time, in seconds of a clock that only goes forward."""

    at: float
    requests: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """By route and status."""
    failures: Mapping[str, float] = field(default_factory=dict)
    """By code."""
    buckets: Mapping[float, float] = field(default_factory=dict)
    """Predictions that took at most this many seconds."""
    rows: float = 0.0
    waiting: float = 0.0
    blocked: bool = False


@dataclass(frozen=True)
class Traffic:
    """What happened between two readings, per second."""

    seconds: float
    predictions: float = 0.0
    rows: float = 0.0
    requests: float = 0.0
    refused: float = 0.0
    failed: float = 0.0
    median: float | None = None
    slow: float | None = None
    """95% of the predictions took at most so many seconds."""
    waiting: int = 0
    codes: tuple[tuple[str, float], ...] = ()


def reading(at: float, families: Iterable[Metric]) -> Reading:
    """The counters that matter here, among all of /metrics."""
    requests: dict[tuple[str, str], float] = {}
    failures: dict[str, float] = {}
    buckets: dict[float, float] = {}
    single: dict[str, float] = {}
    for family in families:
        for name, labels, value, *_ in family.samples:
            if name == "stackserve_requests_total":
                requests[labels["route"], labels["status"]] = value
            elif name == "stackserve_failures_total":
                failures[labels["code"]] = value
            elif name == "stackserve_request_seconds_bucket":
                if labels["route"] == PREDICT:
                    buckets[float(labels["le"])] = value
            elif not labels:
                single[name] = value
    return Reading(
        at,
        requests,
        failures,
        buckets,
        rows=single.get("stackserve_batch_rows_sum", 0.0),
        waiting=single.get("stackserve_waiting_requests", 0.0),
        blocked=single.get("stackserve_broker_blocked", 0.0) > 0,
    )


def between(old: Reading, new: Reading) -> Traffic:
    """The rates from one reading to a later one."""
    seconds = max(1e-3, new.at - old.at)
    grown = {
        key: rate
        for key, value in new.requests.items()
        if key[0] not in OWN_ROUTES and (rate := _rate(old.requests, key, value, seconds))
    }
    codes = [
        (code, rate)
        for code, value in new.failures.items()
        if (rate := _rate(old.failures, code, value, seconds))
    ]
    buckets = {le: max(0.0, n - old.buckets.get(le, 0.0)) for le, n in new.buckets.items()}
    return Traffic(
        seconds=seconds,
        predictions=grown.get((PREDICT, "200"), 0.0),
        rows=max(0.0, new.rows - old.rows) / seconds,
        requests=sum(grown.values()),
        refused=sum(rate for (_, status), rate in grown.items() if status.startswith("4")),
        failed=sum(rate for (_, status), rate in grown.items() if status.startswith("5")),
        median=quantile(buckets, 0.5),
        slow=quantile(buckets, 0.95),
        waiting=round(new.waiting),
        codes=tuple(sorted(codes, key=lambda one: (-one[1], one[0]))),
    )


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """The quantile of a histogram with cumulative counts; None without any observation."""
    ends = sorted(buckets)
    total = buckets[ends[-1]] if ends else 0.0
    if total <= 0:
        return None
    wanted, low, below = share * total, 0.0, 0.0
    for end in ends:
        if buckets[end] >= wanted:
            if end == float("inf"):
                return low
            return low + (end - low) * (wanted - below) / ((buckets[end] - below) or 1.0)
        low, below = end, buckets[end]
    return low


def _rate(old: Mapping[Any, float], key: Any, value: float, seconds: float) -> float:
    """Never negative: the counters start again with the service."""
    return max(0.0, value - old.get(key, 0.0)) / seconds
