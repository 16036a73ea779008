"""The store counts each chunk once, and a job's state follows its chunks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from production_server.errors import StoreError
from production_server.jobs.records import Outcome, Receipt, Share
from production_server.jobs.store import Store

ANSWER = {"model": "tiny", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


def made(store: Store, parts: int = 3, key: str | None = None) -> str:
    job = store.begin("tiny-1", ANSWER)
    for number in range(parts):
        store.stage(job, number, 10, b"rows")
    store.accept(job, Receipt(10 * parts, parts, key, "hash", 99, [], []), 1000)
    return job


GOOD, BAD = Outcome(outputs=b"out"), Outcome(error="why")


def test_a_chunk_counts_once(store: Store) -> None:
    job = made(store)
    assert store.record(job, 1, GOOD)
    assert not store.record(job, 1, GOOD)
    assert not store.record(job, 1, BAD)
    assert not store.record(job, 7, GOOD)
    assert not store.record("nobody", 0, GOOD)
    found = store.get(job)
    assert found is not None
    assert (found.chunks_done, found.chunks_failed, found.rows_done) == (1, 0, 10)
    assert store.pending(job, [], 10) == [0, 2]
    assert store.payload(job, 1) is None, "its rows are deleted"


def test_the_work_of_each_host(store: Store) -> None:
    job, other = made(store, 5), made(store)
    for number, host in enumerate(("w2", "w1", None, "w2")):
        store.record(job, number, Outcome(outputs=b"out", worker=host))
    store.record(job, 4, Outcome(error="why", worker="w1"))
    store.record(other, 0, Outcome(outputs=b"out", worker="w3"))
    assert store.shares(job) == [Share("w1", 2, 20), Share("w2", 2, 20)]
    assert store.unfinished_chunks() == 2


@pytest.mark.parametrize(("last", "state"), [(GOOD, "done"), (BAD, "failed")])
def test_a_job_ends_with_its_last_chunk(last: Outcome, state: str, store: Store) -> None:
    job = made(store)
    store.start(job, time.time())
    for number, outcome in ((2, GOOD), (0, GOOD), (1, last)):
        assert store.get(job).state == "running"  # type: ignore[union-attr]
        store.record(job, number, outcome)
    found = store.get(job)
    assert found is not None
    assert found.state == state
    assert found.finished is not None
    assert [part.reason for part in store.parts(job, 0, 10)] == [None, last.error, None]


def test_many_threads_count_correctly(store: Store) -> None:
    job = made(store, parts=40)

    def record_all() -> None:
        for number in range(40):
            store.record(job, number, GOOD)

    threads = [threading.Thread(target=record_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = store.get(job)
    assert found is not None
    assert (found.state, found.chunks_done, found.rows_done) == ("done", 40, 400)


def test_a_cancelled_job_records_no_more_outcomes(store: Store) -> None:
    job = made(store)
    store.record(job, 0, GOOD)
    assert store.cancel(job)
    assert not store.cancel(job)
    assert not store.record(job, 1, GOOD)
    assert store.get(job).state == "cancelled"  # type: ignore[union-attr]
    assert store.waiting() == []
    assert store.parts(job, 0, 10) == []


def test_only_finished_jobs_are_removed(store: Store) -> None:
    job = made(store, key="k")
    assert not store.remove(job)
    store.cancel(job)
    assert store.remove(job)
    assert store.get(job) is None
    assert made(store, key="k") != job, "the key is free again"


def test_a_job_is_hidden_until_it_is_accepted(store: Store) -> None:
    job = store.begin("tiny-1", ANSWER)
    store.stage(job, 0, 10, b"rows")
    assert store.get(job) is None
    assert store.page(10) == []
    assert store.waiting() == []


def test_pages_are_newest_first_and_complete(store: Store) -> None:
    jobs = [made(store, parts=1) for _ in range(7)]
    seen: list[str] = []
    before = None
    while page := store.page(3, before):
        seen += [job.id for job in page]
        before = page[-1].id
    assert seen == jobs[::-1]
    assert store.page(3, "nobody") == []


def test_a_second_process_sees_what_the_first_wrote(store: Store, url: str) -> None:
    job = made(store)
    other = Store(url)
    other.record(job, 0, GOOD)
    assert store.get(job).chunks_done == 1  # type: ignore[union-attr]
    other.close()


def test_a_write_by_any_process_is_noticed(store: Store, url: str) -> None:
    store.changed()
    assert not store.changed()
    other = Store(url)
    made(other)
    assert store.changed()
    assert not store.changed()
    made(store)
    assert store.changed()
    other.close()


@pytest.mark.parametrize("bad", ["nonsense", "oracle://x/y", "sqlite:////proc/none/jobs.sqlite3"])
def test_the_error_of_a_store_that_cannot_be_opened_has_a_remedy(bad: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(bad)
    assert caught.value.remedy


def test_an_outcome_can_arrive_before_the_job_is_marked_as_running(store: Store) -> None:
    job = made(store, parts=1)
    store.record(job, 0, Outcome(outputs=b"\0" * 4))
    ended = store.get(job)
    assert ended is not None
    assert ended.state == "done"
    assert ended.started is not None
    assert ended.finished is not None
    assert ended.started <= ended.finished
