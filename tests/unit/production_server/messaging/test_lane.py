"""How requests become batches, and how answers get back to their requests."""

from __future__ import annotations

from array import array
from collections import deque

import pytest

from production_server.batch_sizes import LARGEST_BATCH
from production_server.errors import QueueError
from production_server.messaging.batches import (
    Answer,
    Ask,
    Batch,
    Outcome,
    outcome_of,
    take_batches,
)


def ask(
    version: str = "m-1", count: int = 1, until: float = 10.0, outcomes: list[Outcome] | None = None
) -> Ask:
    done = ([] if outcomes is None else outcomes).append
    return Ask(version, b"\0" * 4 * count, count, done, until)


def test_waiting_requests_share_a_batch() -> None:
    waiting = deque([ask(), ask(count=3), ask()])
    assert [batch.count for batch in take_batches(waiting, now=0)] == [5]
    assert not waiting


def test_a_batch_never_mixes_versions() -> None:
    waiting = deque([ask("m-1"), ask("m-1"), ask("m-2"), ask("m-1")])
    batches = list(take_batches(waiting, now=0))
    assert [(batch.asks[0].version, batch.count) for batch in batches] == [
        ("m-1", 2),
        ("m-2", 1),
        ("m-1", 1),
    ]


def test_a_batch_has_a_maximum_size_but_a_request_is_never_split() -> None:
    waiting = deque([ask(count=LARGEST_BATCH - 1), ask(count=2), ask(count=LARGEST_BATCH * 2)])
    assert [batch.count for batch in take_batches(waiting, now=0)] == [
        LARGEST_BATCH - 1,
        2,
        LARGEST_BATCH * 2,
    ]


def test_a_request_past_its_deadline_gets_an_error_and_is_not_sent() -> None:
    outcomes: list[Outcome] = []
    waiting = deque([ask(until=1.0, outcomes=outcomes), ask(until=9.0)])
    assert [batch.count for batch in take_batches(waiting, now=2.0)] == [1]
    assert [type(outcome) for outcome in outcomes] == [QueueError]


def test_each_request_gets_its_own_rows() -> None:
    first: list[Outcome] = []
    second: list[Outcome] = []
    batch = Batch([ask(count=2, outcomes=first), ask(count=1, outcomes=second)])
    batch.resolve(Answer("m-1", array("f", [1, 2, 3, 4, 5, 6]).tobytes(), 2, 0.0))
    assert [a.rows() for a in first if isinstance(a, Answer)] == [[[1, 2], [3, 4]]]
    assert [a.rows() for a in second if isinstance(a, Answer)] == [[[5, 6]]]


@pytest.mark.parametrize(
    "meta",
    [
        {"status": "FAILURE", "result": {"exc_type": "ModelError", "exc_message": ["broken"]}},
        {"status": "REVOKED", "result": None},
    ],
)
def test_anything_but_success_is_an_error(meta: dict[str, object]) -> None:
    assert isinstance(outcome_of(meta), QueueError)
