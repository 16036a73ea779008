"""Jobs can be deleted on a full disk, by giving up the ballast."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from production_server.jobs import ballast
from production_server.jobs.ballast import BALLAST_BYTES, Ballast
from production_server.jobs.records import Outcome, Receipt
from production_server.jobs.store import Store
from tests.support.disks import SmallDisk

MEGABYTE = 1 << 20


def finished(store: Store, megabytes: int) -> str:
    """A finished job whose results have this size."""
    job = store.begin("tiny-1", {})
    for number in range(megabytes):
        store.stage(job, number, 1, b"rows")
    store.accept(job, Receipt(megabytes, megabytes, None, "hash", 9, [], []), 1000)
    for number in range(megabytes):
        store.record(job, number, Outcome(outputs=os.urandom(MEGABYTE)))
    return job


def test_a_job_larger_than_the_ballast_is_deleted_on_a_full_disk(disk: SmallDisk) -> None:
    store = Store(f"sqlite:///{disk.path / 'jobs.sqlite3'}")
    job, other = finished(store, 20), finished(store, 1)
    disk.fill()
    with pytest.raises(OperationalError, match="full"):
        store.remove(job)
    disk.empty()
    store.shrink(threading.Event())
    disk.fill()
    assert disk.free() == 0
    assert store.remove(job)
    assert store.get(job) is None and store.get(other) is not None
    assert len(store.parts(other, 0, 9)) == 1
    store.close()


def test_the_ballast_takes_at_most_half_of_the_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, file = Ballast(tmp_path / "jobs.sqlite3"), tmp_path / "jobs.sqlite3-ballast"
    assert not kept.release()
    for free, size in ((1, 0), (7, 3), (4, 5), (100, 8), (100, 8)):
        monkeypatch.setattr(ballast, "disk_of", lambda _folder, free=free: (free * MEGABYTE, 0))
        kept.restore()
        assert (file.stat().st_size if file.exists() else 0) == size * MEGABYTE
    assert size * MEGABYTE == BALLAST_BYTES
    assert kept.release() and not file.exists()


def test_a_database_without_a_file_has_no_ballast() -> None:
    kept = Ballast(None)
    kept.restore()
    assert not kept.release()
