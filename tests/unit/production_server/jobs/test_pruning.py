"""The oldest finished jobs make room, and unfinished or unread ones never do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from production_server.errors import StoreFull
from production_server.jobs import results
from production_server.jobs.housekeeping import Housekeeper
from production_server.jobs.pruning import BATCH_JOBS, JOB_BYTES, KEEP_SECONDS
from production_server.jobs.records import Outcome, Receipt
from production_server.jobs.store import Store

ANSWER = {"model": "tiny", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}
BUDGET = 10 * 50_000
YEAR = 365 * 86400.0
LATER = KEEP_SECONDS + 10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", BUDGET)
    yield store
    store.close()


def accepted(store: Store, size: int = 50_000 - JOB_BYTES) -> str:
    job = store.begin("tiny-1", ANSWER)
    store.stage(job, 0, size // 4, bytes(size))
    store.accept(job, Receipt(size // 4, 1, None, "hash", 99, [], []), 1000)
    return job


def finished(store: Store, size: int = 50_000 - JOB_BYTES) -> str:
    """A job whose result is as large as its rows."""
    job = accepted(store, size)
    store.record(job, 0, Outcome(outputs=bytes(size)))
    return job


def tidy(store: Store, now: float) -> dict[str, int]:
    """Prune until nothing is left to do; returns the number of deleted jobs by reason."""
    counts: dict[str, int] = {}
    while deleted := store.prune(now, YEAR):
        for batch in deleted:
            counts[batch.reason] = counts.get(batch.reason, 0) + len(batch.jobs)
    return counts


def test_a_job_counts_with_its_rows_and_then_with_its_result(store: Store) -> None:
    job = accepted(store, 4000)
    assert store.usage().bytes == 4000 + JOB_BYTES
    store.record(job, 0, Outcome(outputs=bytes(400)))
    assert store.usage().bytes == 400 + JOB_BYTES
    store.cancel(accepted(store, 4000))
    assert store.usage().bytes == 400 + 2 * JOB_BYTES
    store.remove(job)
    assert store.usage().bytes == JOB_BYTES


def test_the_oldest_finished_jobs_make_room(store: Store) -> None:
    now = time.time()
    unfinished = accepted(store)
    old = [finished(store) for _ in range(9)]
    assert tidy(store, now + LATER) == {}
    new = _beyond(store, 3)
    assert tidy(store, now + LATER) == {"space": 3}
    left = {job.id for job in store.page(100)}
    assert left == {unfinished, *old[3:], *new}
    assert store.usage().pruned == {"space": (3, 150_000)}
    assert store.usage().bytes == BUDGET


def _beyond(store: Store, count: int) -> list[str]:
    """More finished jobs than the budget allows, as if the first ones were old."""
    store._budget = None
    jobs = [finished(store) for _ in range(count)]
    store._budget = BUDGET
    return jobs


def test_new_results_and_unfinished_jobs_stay(store: Store) -> None:
    _beyond(store, 6)
    store._budget = None
    unfinished = [accepted(store) for _ in range(6)]
    store._budget = BUDGET
    assert tidy(store, time.time()) == {}
    assert tidy(store, time.time() + LATER) == {"space": 2}
    assert set(store.waiting()) == set(unfinished)


def test_a_result_that_is_being_read_stays(store: Store) -> None:
    oldest, second = _beyond(store, 12)[:2]
    found = store.get(oldest)
    assert found is not None
    stream = results.as_csv(store, found)
    next(stream)
    # The read is as long after the end of the job as `LATER`.
    results.KEEP_EVERY, before = -1.0, results.KEEP_EVERY
    next(stream)
    results.KEEP_EVERY = before
    kept = store.get(oldest)
    assert kept is not None and kept.touched > found.touched
    ended = store.get(second).touched  # type: ignore[union-attr]
    assert kept.touched > ended
    between = (kept.touched + store.page(1)[0].touched) / 2 + KEEP_SECONDS
    assert tidy(store, between) == {"space": 2}
    assert store.get(oldest) is not None and store.get(second) is None


def test_reading_goes_on_when_nothing_can_be_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store.get(finished(store, 400))
    assert job is not None

    def full(_job: str) -> None:
        raise OperationalError("UPDATE", {}, Exception("database or disk is full"))

    monkeypatch.setattr(store, "keep", full)
    monkeypatch.setattr(results, "KEEP_EVERY", -1.0)
    assert b"".join(results.as_csv(store, job)).count(b"\n") == 101


def test_a_reader_seldom_writes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    job = store.get(finished(store, 400))
    assert job is not None
    monkeypatch.setattr(store, "keep", lambda _job: pytest.fail("it was touched a moment ago"))
    assert b"".join(results.as_csv(store, job))


def test_an_upload_is_refused_if_nothing_can_make_room(store: Store) -> None:
    kept = [accepted(store) for _ in range(8)]
    with pytest.raises(StoreFull, match=r"0\.4 MB of the 0\.5 MB") as refused:
        accepted(store, 150_000)
    assert refused.value.code == "store_full"
    assert "STACKSERVE_STORE_BYTES" in refused.value.remedy
    assert set(store.waiting()) == set(kept)
    for job in kept:
        store.record(job, 0, Outcome(outputs=bytes(40_000)))
    with pytest.raises(StoreFull):
        accepted(store, 250_000)
    store.remove(kept[0])
    store.remove(kept[1])
    accepted(store, 250_000)


def test_old_results_make_room_for_an_upload(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(9):
        finished(store)
    now = time.time()
    monkeypatch.setattr("production_server.jobs.store.time.time", lambda: now + LATER)
    accepted(store, 400_000)
    assert tidy(store, now + LATER) == {"space": 8}


def test_old_jobs_and_abandoned_uploads_are_deleted(store: Store) -> None:
    old, active = finished(store, 400), accepted(store, 400)
    store.begin("tiny-1", ANSWER)
    now = time.time()
    assert tidy(store, now) == {}
    assert tidy(store, now + 1000) == {"abandoned": 1}
    assert tidy(store, now + YEAR + 10) == {"age": 1}
    assert store.get(old) is None and store.get(active) is not None
    assert store.usage().pruned == {"abandoned": (1, JOB_BYTES), "age": (1, 400 + JOB_BYTES)}


def test_one_round_deletes_everything_in_batches(store: Store) -> None:
    for _ in range(BATCH_JOBS + 5):
        store.cancel(accepted(store, 40))
    Housekeeper(store, retention_days=365).round(time.time() + YEAR + LATER)
    assert store.page(10) == []
    assert store.usage().pruned["age"][0] == BATCH_JOBS + 5
