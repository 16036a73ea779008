"""The file shrinks after jobs are deleted, while others write, and old files are made able to."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from production_server.jobs import ballast, shrinking
from production_server.jobs.records import Receipt
from production_server.jobs.store import Store
from tests.support import old_databases

MEGABYTE = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite3"


def fill(store: Store, megabytes: int) -> list[str]:
    jobs = []
    for _ in range(megabytes):
        job = store.begin("tiny-1", {})
        store.stage(job, 0, 1, bytes(MEGABYTE))
        store.accept(job, Receipt(1, 1, None, "hash", 9, [], []), 1000)
        jobs.append(job)
    return jobs


def test_the_file_shrinks_to_what_is_used_and_the_slack(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrinking, "SLACK_BYTES", 2 * MEGABYTE)
    store = Store(f"sqlite:///{path}")
    for job in fill(store, 12)[2:]:
        store.cancel(job)
    assert path.stat().st_size > 11 * MEGABYTE
    slowest = 0.0
    done = threading.Event()

    def write() -> None:
        nonlocal slowest
        while not done.is_set():
            began = time.monotonic()
            store.begin("tiny-1", {})
            slowest = max(slowest, time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    store.shrink(threading.Event())
    done.set()
    writer.join()
    store.shrink(threading.Event())
    # The writer has added some, too.
    assert path.stat().st_size < 7 * MEGABYTE
    assert slowest < 2
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_slack_is_freed_for_the_ballast(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"sqlite:///{path}")
    for job in fill(store, 6):
        store.cancel(job)
    store.shrink(threading.Event())
    assert path.stat().st_size > 5 * MEGABYTE
    monkeypatch.setattr(ballast, "disk_of", lambda _folder: (0, 100 * MEGABYTE))
    path.with_name("jobs.sqlite3-ballast").unlink()
    store.shrink(threading.Event())
    assert path.stat().st_size < MEGABYTE
    store.close()


def test_an_old_file_is_rewritten_once(path: Path) -> None:
    old_databases.create(path, 1)
    store = Store(f"sqlite:///{path}")
    assert mode(path) == 0
    before = old_databases.contents(path)
    store.allow_shrinking()
    assert mode(path) == shrinking.INCREMENTAL
    assert old_databases.contents(path) == before
    store.allow_shrinking()
    store.close()


@pytest.mark.parametrize("limit", ["LARGEST_REWRITE", "disk_of"])
def test_an_old_file_is_kept_if_a_rewrite_takes_too_much(
    limit: str, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old_databases.create(path, 1)
    store = Store(f"sqlite:///{path}")
    large = {"LARGEST_REWRITE": 1000, "disk_of": lambda _folder: (1000, 1 << 40)}
    monkeypatch.setattr(shrinking, limit, large[limit])
    store.allow_shrinking()
    store.close()
    assert mode(path) == 0
    assert f"sqlite3 {path} 'PRAGMA auto_vacuum=2; VACUUM'" in caplog.text


def mode(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA auto_vacuum").fetchone()[0])
