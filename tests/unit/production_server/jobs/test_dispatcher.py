"""The dispatcher: how many chunks of which jobs it sends, and when it sends them again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from production_server.errors import QueueError
from production_server.jobs import dispatcher as dispatcher_module
from production_server.jobs.dispatcher import PATIENCE, Dispatcher, share_slots
from production_server.jobs.records import Outcome, Payload, Receipt
from production_server.jobs.store import Store

GOOD = Outcome(outputs=b"out")


def test_slots_go_to_jobs_with_the_fewest_chunks_in_flight() -> None:
    assert share_slots(["a"], Counter(), 4) == {"a": 4}
    assert share_slots(["a", "b"], Counter(), 4) == {"a": 2, "b": 2}
    assert share_slots(["a", "b"], Counter(a=6), 4) == {"b": 4}
    assert share_slots(["a", "b", "c"], Counter(a=2), 5) == {"a": 1, "b": 2, "c": 2}
    assert share_slots([], Counter(), 4) == {}
    assert share_slots(["a"], Counter(a=4), 0) == {}


class Queue:
    """Replaces the broker, and keeps what was sent, in order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.length = 0
        self.broken = False

    def publish(self, payload: Payload) -> None:
        if self.broken:
            raise QueueError("away", "wait")
        self.sent.append((payload.job, payload.number))

    def take(self) -> list[tuple[str, int]]:
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    yield store
    store.close()


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def dispatcher(store: Store, queue: Queue) -> Dispatcher:
    return Dispatcher(store, queue.publish, lambda: queue.length, in_flight=4)


def made(store: Store, parts: int) -> str:
    job = store.begin("tiny-1", {"kind": "binary"})
    for number in range(parts):
        store.stage(job, number, 10, b"rows")
    store.accept(job, Receipt(10 * parts, parts, None, "hash", 99, [], []), 1000)
    return job


def test_chunks_are_sent_in_order_a_few_at_a_time(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    job = made(store, 6)
    dispatcher.tick(1)
    assert queue.take() == [(job, 0), (job, 1), (job, 2), (job, 3)]
    assert store.get(job).state == "running"  # type: ignore[union-attr]
    dispatcher.tick(2)
    assert queue.take() == []
    store.record(job, 2, GOOD)
    store.record(job, 0, GOOD)
    dispatcher.tick(3)
    assert queue.take() == [(job, 4), (job, 5)]


def test_a_small_job_does_not_wait_for_a_large_one(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    large = made(store, 100)
    dispatcher.tick(1)
    queue.take()
    small = made(store, 1)
    store.record(large, 0, GOOD)
    dispatcher.tick(2)
    assert queue.take() == [(small, 0)]


def test_slots_that_small_jobs_leave_go_to_the_large_one(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    small, large = made(store, 1), made(store, 100)
    dispatcher.tick(1)
    assert Counter(job for job, _ in queue.take()) == {small: 1, large: 3}


def test_a_cancelled_job_makes_room(store: Store, queue: Queue, dispatcher: Dispatcher) -> None:
    first, second = made(store, 4), made(store, 4)
    dispatcher.tick(1)
    queue.take()
    store.cancel(first)
    dispatcher.tick(2)
    assert queue.take() == [(second, 2), (second, 3)]


def test_after_a_restart_pending_chunks_are_sent_again(store: Store, queue: Queue) -> None:
    job = made(store, 3)
    for expected in ([0, 1, 2], [0, 2]):
        Dispatcher(store, queue.publish, lambda: 0).tick(1)
        assert queue.take() == [(job, number) for number in expected]
        store.record(job, 1, GOOD)


def test_a_lost_chunk_is_sent_again_at_growing_intervals(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    job = made(store, 1)
    times = []
    for now in range(1, int(8 * PATIENCE), 10):
        dispatcher.tick(now)
        if queue.take():
            times.append(now)
    assert [later - sooner for sooner, later in pairwise(times)] == [
        70,
        130,
        250,
    ]
    assert store.record(job, 0, GOOD)


def test_a_chunk_that_waits_in_the_queue_is_not_lost(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    made(store, 1)
    dispatcher.tick(1)
    queue.take()
    queue.length = 1
    dispatcher.tick(10 * PATIENCE)
    assert queue.take() == []


def test_a_broken_broker_loses_nothing(store: Store, queue: Queue, dispatcher: Dispatcher) -> None:
    job = made(store, 2)
    queue.broken = True
    with pytest.raises(QueueError):
        dispatcher.tick(1)
    assert store.get(job).state == "queued"  # type: ignore[union-attr]
    queue.broken = False
    dispatcher.tick(2)
    assert queue.take() == [(job, 0), (job, 1)]


def test_in_one_process_a_deadly_chunk_is_found_and_fails(store: Store, queue: Queue) -> None:
    job = made(store, 6)
    poison = (job, 2)
    deaths = 0
    lives = 0
    while store.get(job).active:  # type: ignore[union-attr]
        lives += 1
        assert lives < 10
        life = Dispatcher(store, queue.publish, lambda: 0, in_flight=4, one_process=True)
        for now in range(20):
            life.tick(now)
            taken = queue.take()
            if poison in taken:
                deaths += 1
                break
            for chunk in taken:
                store.record(*chunk, GOOD)
    found = store.get(job)
    assert found is not None
    assert (found.state, found.chunks_done, found.chunks_failed, deaths) == ("failed", 5, 1, 3)


def test_in_one_process_a_clean_stop_makes_no_suspects(store: Store, queue: Queue) -> None:
    made(store, 3)
    life = Dispatcher(store, queue.publish, lambda: 0, one_process=True)
    life.start()
    while not queue.sent:
        time.sleep(0.01)
    life.stop()
    assert store.suspects() == []


def test_no_error_ends_the_dispatcher(
    store: Store, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "RETRY", 0.01)
    errors = [QueueError("away", "wait"), ZeroDivisionError("a mistake of ours"), QueueError("x")]

    def publish(payload: Payload) -> None:
        if errors:
            raise errors.pop(0)
        queue.publish(payload)

    life = Dispatcher(store, publish, lambda: 0)
    life.start()
    job = made(store, 1)
    give_up = time.monotonic() + 10
    while not queue.sent and time.monotonic() < give_up:
        time.sleep(0.01)
    life.stop()
    assert queue.take() == [(job, 0)]


def fail_all(queue: Queue, dispatcher: Dispatcher) -> list[tuple[str, int]]:
    """Let a worker fail every chunk that was sent, through no fault of its rows."""
    taken = queue.take()
    for job, number in taken:
        dispatcher.retry(job, number, "MemoryError")
    return taken


def test_a_chunk_that_failed_for_lack_of_memory_is_sent_again_later(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    job = made(store, 1)
    times = []
    for tenth in range(10, 3000):
        dispatcher.tick(tenth / 10)
        if fail_all(queue, dispatcher):
            times.append(tenth / 10)
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses == pytest.approx([2, 4, 8, 16, 32, 64, 128], abs=0.3)
    dispatcher.tick(600)
    assert queue.take() == [(job, 0)]
    store.record(job, 0, GOOD)
    assert store.get(job).state == "done"  # type: ignore[union-attr]


def test_retries_end_with_the_reason(store: Store, queue: Queue, dispatcher: Dispatcher) -> None:
    job = made(store, 40)
    now, sent = 1.0, Counter[int]()
    while store.get(job).active:  # type: ignore[union-attr]
        assert now < 5000
        dispatcher.tick(now)
        sent.update(number for _, number in fail_all(queue, dispatcher))
        now += 1
    assert 3600 < now < 4200
    assert sum(sent.values()) < 100, "no hot loop"
    assert len(sent) == 40
    reasons = [part.reason or "" for part in store.parts(job, 0, 40)]
    assert all(reason.startswith("MemoryError (tried ") for reason in reasons)
    assert any("times in 60 minutes" in reason for reason in reasons)


def test_other_jobs_go_on_while_one_waits(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    stuck = made(store, 100)
    dispatcher.tick(1)
    assert len(fail_all(queue, dispatcher)) == 4
    other = made(store, 8)
    now = 1.0
    while store.get(other).active:  # type: ignore[union-attr]
        now += 0.01
        assert now < 2
        dispatcher.tick(now)
        for job, number in queue.take():
            assert job == other
            store.record(job, number, GOOD)
    # Then one chunk shows that the workers work again, and the rest follows.
    for expected in (1, 4, 4):
        now += 5
        dispatcher.tick(now)
        taken = queue.take()
        assert len(taken) == expected
        for job, number in taken:
            store.record(job, number, GOOD)
    assert store.get(stuck).chunks_done == 9  # type: ignore[union-attr]


def test_one_chunk_that_needs_too_much_memory_does_not_stop_its_job(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    job = made(store, 50)
    now = 0.0
    while store.get(job).chunks_done < 49:  # type: ignore[union-attr]
        now += 1
        assert now < 60
        dispatcher.tick(now)
        for _, number in queue.take():
            if number == 5:
                dispatcher.retry(job, 5, "MemoryError")
            else:
                store.record(job, number, GOOD)
    assert store.pending(job, [], 10) == [5]


def test_a_late_failure_of_a_chunk_with_an_outcome_is_ignored(
    store: Store, queue: Queue, dispatcher: Dispatcher
) -> None:
    job = made(store, 2)
    dispatcher.tick(1)
    store.record(job, 0, GOOD)
    dispatcher.retry(job, 0, "MemoryError")
    dispatcher.retry("nobody", 7, "MemoryError")
    queue.take()
    dispatcher.tick(2)
    dispatcher.tick(30)
    assert queue.take() == []
    store.record(job, 1, GOOD)
    assert store.get(job).state == "done"  # type: ignore[union-attr]


def test_in_one_process_a_retry_makes_no_suspect(store: Store, queue: Queue) -> None:
    job = made(store, 1)
    life = Dispatcher(store, queue.publish, lambda: 0, one_process=True)
    life.tick(1)
    assert store.suspects() == [(job, 0, 1)]
    fail_all(queue, life)
    life.tick(2)
    assert store.suspects() == []
