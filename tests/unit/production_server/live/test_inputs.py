"""Inputs counted in bins, and their drift from the training data."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from production_server.jobs.records import Usage
from production_server.live.bins import bins_of
from production_server.live.drift import LEAST_ROWS, State, drift, drifts, state_of, told
from production_server.live.inputs import FADING, MOST_REQUESTS, MOST_ROWS, Inputs, bin_of, some_of
from production_server.model import cohort
from production_server.model.card import Card
from production_server.web.metrics import Metrics
from tests.support.rows import shipped

CARD = shipped()[1]
BINS = bins_of(CARD)


def counted(rows: Sequence[Sequence[float]], number: int) -> list[float]:
    counts = [0.0] * len(BINS[number].expected)
    for row in rows:
        counts[bin_of(BINS[number], row[number])] += 1
    return counts


def synthetic(count: int, seed: int = 3) -> list[list[float]]:
    return [
        [row[name] for name in CARD.feature_names] for row, _ in cohort.sample(CARD, count, seed)
    ]


def packed(rows: Sequence[Sequence[float]]) -> bytes:
    return b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows)


def test_bins_are_a_whole_and_none_is_tiny() -> None:
    for bins in BINS:
        assert sum(bins.expected) == pytest.approx(1)
        assert len(bins.expected) == len(bins.edges) + 1 + bins.missing
        assert list(bins.edges) == sorted(set(bins.edges))
        assert min(bins.expected[bins.missing :]) > 0.02


def test_rows_like_the_training_data_are_stable() -> None:
    rows = synthetic(3000)
    for number, bins in enumerate(BINS):
        found = drift(bins, counted(rows, number))
        assert found.state is State.STABLE, found
        assert found.why == ""


def test_another_population_has_drifted_and_words_say_how() -> None:
    glucose = CARD.feature_names.index("glucose")
    rows = [
        [value + 40 * (at == glucose) for at, value in enumerate(row)] for row in synthetic(900)
    ]
    found = {
        one.name: one
        for one in drifts(
            BINS, {bins.name: counted(rows, number) for number, bins in enumerate(BINS)}
        )
    }
    assert found["glucose"].state is State.DRIFTED
    assert found["glucose"].why.startswith("more values above ")
    assert found["age"].state is State.STABLE


def test_values_that_are_missing_now_are_a_drift_too() -> None:
    number = CARD.feature_names.index("glucose")
    rows = [[0.0] * 8 if at % 4 == 0 else row for at, row in enumerate(synthetic(900))]
    found = drift(BINS[number], counted(rows, number))
    assert found.state is State.DRIFTED
    assert found.why.startswith("more missing values")


@pytest.mark.parametrize(
    ("index", "state"),
    [(0, "stable"), (0.0999, "stable"), (0.1, "watch"), (0.2499, "watch"), (0.25, "drifted")],
)
def test_the_usual_bounds(index: float, state: str) -> None:
    assert state_of(index) == state


def test_few_rows_say_nothing() -> None:
    few = {bins.name: [LEAST_ROWS - 1.0] + [0.0] * (len(bins.expected) - 1) for bins in BINS}
    assert drifts(BINS, few) == []
    assert drifts(BINS, {}) == []


def test_a_card_without_a_cohort_has_no_drift() -> None:
    assert told(bins_of(CARD.model_copy(update={"cohort": None})), [])["known"] is False


class Sampled:
    """Inputs whose counts can be read."""

    def __init__(self, card: Card = CARD) -> None:
        self.card = card
        self.counts: dict[tuple[str, int], float] = {}
        self.inputs = Inputs(lambda: self.card, self.report)

    def report(self, feature: str, number: int, rows: float) -> None:
        self.counts[feature, number] = rows

    def feed(self, requests: Sequence[bytes], card: Card = CARD) -> None:
        async def run() -> None:
            for request in requests:
                self.inputs.add(card, request, len(request) // 32)
            self.inputs.count()

        asyncio.run(run())

    def rows(self, feature: str) -> float:
        return sum(rows for (name, _), rows in self.counts.items() if name == feature)


def test_a_busy_second_is_sampled() -> None:
    sampled = Sampled()
    sampled.feed([packed(synthetic(1))] * 5000)
    assert sampled.rows("age") == MOST_REQUESTS


def test_a_large_request_counts_with_some_rows_spread_over_it() -> None:
    rows = [[float(number)] * 8 for number in range(1003)]
    some = struct.unpack(f"<{MOST_ROWS * 8}f", some_of(packed(rows), len(rows)))[::8]
    assert some == tuple(float(number) for number in range(0, 1000, 100))
    assert some_of(packed(rows[:3]), 3) == packed(rows[:3])


def test_old_rows_fade_away() -> None:
    sampled = Sampled()
    old, new = packed([[1.0] * 8] * MOST_ROWS), packed([[500.0] * 8] * MOST_ROWS)
    for request in (old, new):
        for _ in range(FADING // (MOST_REQUESTS * MOST_ROWS) * 2):
            sampled.feed([request] * MOST_REQUESTS)
    assert sampled.rows("age") <= FADING
    share = sampled.counts["age", len(BINS[-1].edges)] / sampled.rows("age")
    assert 0.6 < share < 1


def test_another_version_begins_again_and_one_on_trial_does_not() -> None:
    sampled = Sampled()
    sampled.feed([packed(synthetic(5))])
    trial = CARD.model_copy(update={"version": "diabetes-2"})
    sampled.feed([packed(synthetic(5))], trial)
    assert sampled.rows("bmi") == 10
    sampled.card = trial
    sampled.feed([packed(synthetic(3))], trial)
    assert sampled.rows("bmi") == 3
    other = CARD.model_copy(update={"features": CARD.features[:1]})
    sampled.feed([b"\0" * 4], other)
    assert sampled.rows("bmi") == 3


def test_garbage_is_logged_and_later_inputs_count(caplog: pytest.LogCaptureFixture) -> None:
    sampled = Sampled()
    sampled.feed([b"\0" * 31])
    assert "cannot be counted" in caplog.text
    sampled.feed([packed(synthetic(2))])
    assert sampled.rows("age") == 2


def test_the_drift_is_a_metric_once_there_are_enough_rows() -> None:
    metrics = Metrics(None, CollectorRegistry())
    inputs = Inputs(lambda: CARD, metrics.input_rows)
    rows = synthetic(400)
    random.Random(1).shuffle(rows)

    async def run(part: Sequence[Sequence[float]]) -> None:
        inputs.add(CARD, packed(part), 1)
        inputs.count()

    def lines() -> list[str]:
        text = metrics.text(lambda: Usage({}, 0, None, {}), BINS)[0].decode()
        return [line for line in text.splitlines() if line.startswith("stackserve_input_drift{")]

    asyncio.run(run(rows[:100]))
    assert lines() == []
    asyncio.run(run(rows[100:]))
    assert [line.split('"')[1] for line in lines()] == CARD.feature_names
    assert all(0 <= float(line.split()[1]) < 0.25 for line in lines())
