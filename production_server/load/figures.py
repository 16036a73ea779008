"""The figures for scaling: what waits, and how busy the workers are; see docs/workers.md."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from celery import Celery

from production_server.access.signing import signing_of
from production_server.errors import ServiceError
from production_server.jobs.reader import Reader
from production_server.local.readiness import check_ready, local_url
from production_server.messaging.activity import WorkerActivity, activities, vm_of
from production_server.messaging.queue_counts import QueueCounts, queue_counts
from production_server.settings import Settings

# Seconds. A process that answers no question for this long is in a long task, or gone.
SILENCE = 2.0
# What /ready grants a prediction.
READY_SECONDS = 3.0


class Measured(NamedTuple):
    """The figures, and what each worker process does."""

    figures: dict[str, Any]
    activities: dict[str, WorkerActivity]


def measure(app: Celery, settings: Settings) -> Measured:
    """Ask RabbitMQ, the web tier, the workers and the store."""
    counts = queue_counts(app)
    began = time.monotonic()
    token = signing_of(settings.access_folder).own_token()
    _, _, body = check_ready(local_url(settings.host, settings.port), token)
    wait = wait_of(body.get("checks", {}), time.monotonic() - began)
    done = activities(app, counts.processes, SILENCE)
    reader = Reader(settings.store)
    try:
        chunks = reader.unfinished_chunks()
    finally:
        reader.close()
    return Measured(figures(counts, done, chunks, wait), done)


def wait_of(checks: Mapping[str, Any], took: float) -> float | None:
    """How long a prediction takes, from the checks of /ready, which took this long.

    None if that cannot be known. Raises ServiceError if RabbitMQ accepts no messages: questions to
    the workers would wait as well.
    """
    broker, worker = checks.get("broker"), checks.get("worker")
    if not broker or not worker:
        return None
    if not broker["ok"]:
        raise ServiceError(str(broker["reason"]), str(broker["remedy"]))
    if worker["ok"]:
        return float(worker["seconds"])
    # If it failed sooner, then not because the workers have no time.
    return round(took, 3) if took >= READY_SECONDS else None


def figures(
    counts: QueueCounts, done: Mapping[str, WorkerActivity], chunks: int, wait: float | None
) -> dict[str, Any]:
    """The figures as the launcher reads them."""
    silent = max(0, counts.processes - len(done))
    known = len(done) + silent
    busy = (sum(one.busy for one in done.values()) + silent) / known if known else None
    rate = sum(one.chunks_per_second for one in done.values())
    left = (chunks / rate if rate else None) if chunks else 0.0
    return {
        "ready": {"predict": counts.predict, "jobs": counts.jobs},
        "wait_seconds": wait,
        "busy": None if busy is None else round(busy, 3),
        "workers": len({vm for node in done if (vm := vm_of(node))}),
        "processes": counts.processes,
        "silent": silent,
        "chunks": chunks,
        "chunks_per_second": round(rate, 3),
        "jobs_seconds": None if left is None else round(left, 1),
    }


def by_vm(
    done: Mapping[str, WorkerActivity], heard: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """What each worker VM does: the sum of its processes. None for one that does not answer."""
    processes: dict[str, list[WorkerActivity]] = {vm: [] for vm in heard}
    for node, one in done.items():
        if vm := vm_of(node):
            processes.setdefault(vm, []).append(one)
    return {vm: _summary(ones, heard.get(vm)) for vm, ones in processes.items()}


def _summary(ones: list[WorkerActivity], heard: float | None) -> dict[str, Any]:
    return {
        "versions": sorted({version for one in ones for version in one.models}) or None,
        "tasks": sum(one.tasks for one in ones) if ones else None,
        "tasks_per_second": round(sum(one.tasks_per_second for one in ones), 3) if ones else None,
        "busy": round(sum(one.busy for one in ones) / len(ones), 3) if ones else None,
        "last_heard": heard and datetime.fromtimestamp(heard, UTC).isoformat(timespec="seconds"),
    }
