"""A store that cannot be written does not hold up the predictions of a single process."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from celery import Celery
from sqlalchemy.exc import OperationalError

from production_server.jobs import chunk_queue
from production_server.jobs.chunk_queue import register_record_task
from production_server.jobs.records import Outcome
from production_server.messaging.names import RECORD_CHUNK


class FullStore:
    """Its disk is full until `room` is set."""

    def __init__(self) -> None:
        self.room = threading.Event()
        self.recorded: list[tuple[str, int, Outcome]] = []

    def record(self, job: str, number: int, outcome: Outcome) -> bool:
        if not self.room.is_set():
            raise OperationalError("UPDATE", {}, Exception("database or disk is full"))
        self.recorded.append((job, number, outcome))
        return True


def test_the_only_process_does_not_wait_for_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_queue, "STORE_RETRY", 0.05)
    store: Any = FullStore()
    told = threading.Event()
    app = Celery(broker="memory://")
    register_record_task(app, store, told.set, lambda *_: None, one_process=True)
    began = time.monotonic()
    app.tasks[RECORD_CHUNK].run("job", 3, {"outputs": b"1234", "host": "h1"})
    assert time.monotonic() - began < 1
    assert not told.wait(0.2)
    store.room.set()
    assert told.wait(5)
    assert store.recorded == [("job", 3, Outcome(outputs=b"1234", worker="h1"))]
