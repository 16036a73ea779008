"""How far the inputs have moved from the training data: the population stability index (PSI)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from production_server.live.bins import Bins

# Of fewer rows, chance alone can move the index by a tenth.
LEAST_ROWS = 300
WATCH, DRIFTED = 0.1, 0.25
COUNTS = "stackserve_input_rows"
NAME = "stackserve_input_drift"


class State(StrEnum):
    """The usual reading of the index."""

    STABLE = "stable"
    WATCH = "watch"
    DRIFTED = "drifted"


@dataclass(frozen=True)
class Drift:
    """The drift of one feature."""

    name: str
    title: str
    index: float
    state: State
    why: str
    """Which values have become more frequent, in words; "" if it is stable."""


def state_of(index: float) -> State:
    if index < WATCH:
        return State.STABLE
    return State.WATCH if index < DRIFTED else State.DRIFTED


def index_of(expected: Sequence[float], counts: Sequence[float]) -> float:
    total = sum(counts)
    shares = [max(count, 0.5) / total for count in counts]
    both = zip(shares, expected, strict=True)
    return sum((got - want) * math.log(got / want) for got, want in both)


def drift(bins: Bins, counts: Sequence[float]) -> Drift:
    index = index_of(bins.expected, counts)
    shares = [count / sum(counts) for count in counts]
    most = max(range(len(shares)), key=lambda at: shares[at] - bins.expected[at])
    why = f"more {bins.words(most)}: {shares[most]:.0%}, in training {bins.expected[most]:.0%}"
    state = state_of(index)
    return Drift(bins.name, bins.title, index, state, "" if state is State.STABLE else why)


def drifts(every: Sequence[Bins], counts: Mapping[str, Sequence[float]]) -> list[Drift]:
    """The drift of each feature with enough rows; `counts` are by feature."""
    return [
        drift(bins, found)
        for bins in every
        if len(found := counts.get(bins.name, ())) == len(bins.expected)
        and sum(found) >= LEAST_ROWS
    ]


def summed(families: Sequence[Metric], every: Sequence[Bins]) -> dict[str, list[float]]:
    """The rows in each bin, over all web processes, from their metrics."""
    found = {bins.name: [0.0] * len(bins.expected) for bins in every}
    for family in families:
        if family.name == COUNTS:
            for _, labels, value, *_ in family.samples:
                counts, number = found.get(labels["feature"]), int(labels["bin"])
                if counts is not None and number < len(counts):
                    counts[number] = value
    return found


def drift_metric(found: Sequence[Drift]) -> Metric:
    gauge = GaugeMetricFamily(
        NAME,
        "Population stability index of the inputs against the training data; 0.25 is a drift",
        labels=["feature"],
    )
    for one in found:
        gauge.add_metric([one.name], one.index)
    return gauge


def told(every: Sequence[Bins], families: Sequence[Metric]) -> dict[str, Any]:
    """The drift as the operations page shows it."""
    if not every:
        return {"rows": 0, "needed": LEAST_ROWS, "known": False, "features": []}
    counts = summed(families, every)
    features = [
        {
            "name": one.name,
            "title": one.title,
            "index": round(one.index, 3),
            "state": one.state.value,
            "why": one.why,
        }
        for one in drifts(every, counts)
    ]
    rows = round(max(sum(found) for found in counts.values()))
    return {"rows": rows, "needed": LEAST_ROWS, "known": True, "features": features}
