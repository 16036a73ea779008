"""The folder of a stopped service, with jobs and models, and its backup."""

from __future__ import annotations

import hashlib
import io
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from production_server.backup.archive import Manifest
from production_server.backup.restore import restore
from production_server.backup.save import save
from production_server.jobs.records import Outcome, Receipt
from production_server.jobs.store import Store
from production_server.model.registry import Registry
from production_server.settings import Settings, load_settings

ANSWER = {"model": "diabetes", "kind": "binary", "classes": ["no", "yes"], "threshold": 0.5}


def no_report(done: int, total: int) -> None:
    assert 0 <= done <= total or total == 0


def agree(lost: str) -> None:
    assert lost


def refuse(lost: str) -> None:
    raise AssertionError(f"asked about {lost}")


def add_job(store: Store, key: str | None, recorded: int, parts: int = 3) -> str:
    job = store.begin("diabetes-1", ANSWER)
    for number in range(parts):
        store.stage(job, number, 10, bytes([number]) * 400)
    store.accept(job, Receipt(10 * parts, parts, key, "hash", 99, [], []), 1000)
    if recorded:
        store.start(job, time.time())
    for number in range(recorded):
        outcome = Outcome(error="why") if number == 1 else Outcome(outputs=bytes([7, number]) * 20)
        assert store.record(job, number, outcome)
    return job


def saved(settings: Settings) -> bytes:
    stream = io.BytesIO()
    save(settings, stream, no_report)
    return stream.getvalue()


def restored(
    settings: Settings, archive: bytes, confirm: Callable[[str], None] = agree
) -> Manifest:
    return restore(settings, io.BytesIO(archive), no_report, confirm)


def rows(settings: Settings) -> list[str]:
    """The whole database as SQL."""
    connection = sqlite3.connect(settings.home / "jobs.sqlite3")
    dump = sorted(connection.iterdump())
    connection.close()
    return dump


def tree(folder: Path) -> dict[str, str]:
    """Every file with its checksum; without lock files, which are empty."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def service(folder: Path) -> Settings:
    """A stopped service with a finished, a failed, a running and a queued job."""
    settings = load_settings(home=folder)
    Registry(settings.registry_path).seed()
    store = Store(settings.store)
    for key, recorded in (("one", 1), (None, 3), ("three", 2), ("four", 0)):
        add_job(store, key, recorded, parts=1 if key == "one" else 3)
    store.close()
    return settings
