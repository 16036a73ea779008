"""The worker: a Celery worker whose process holds the models."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from typing import Any

from celery import Celery, bootsteps
from celery.worker.control import inspect_command

from production_server.messaging.app import JOBS_QUEUE, PREDICT_QUEUE, create_app
from production_server.messaging.models import ModelCache
from production_server.messaging.predicting import register_predict
from production_server.model.registry import Registry
from production_server.settings import Settings

log = logging.getLogger(__name__)

# The models of this process, for the remote question which versions it holds.
_cache: ModelCache | None = None


@inspect_command(name="stackserve_versions")  # type: ignore[untyped-decorator]
def loaded_versions(_state: object) -> list[str]:
    """Which model versions this worker has loaded and warmed."""
    return _cache.versions() if _cache else []


def register_tasks(app: Celery, cache: ModelCache) -> None:
    """Teach `app` to answer: the tasks of this module and the jobs' chunks."""
    from production_server.jobs.tasks import register_worker_tasks

    register_predict(app, cache)
    register_worker_tasks(app, cache)


def make_cache(settings: Settings) -> ModelCache:
    """Load and warm the active model; it happens before the process takes its first task."""
    global _cache  # noqa: PLW0603 - Celery's remote commands are module-level by design
    registry = Registry(settings.registry_path)
    registry.seed()
    _cache = ModelCache(registry)
    _cache.watch()
    return _cache


def run_worker(settings: Settings, number: int) -> None:
    """Serve tasks until told to stop (SIGTERM finishes the task at hand)."""
    app = create_app(settings)
    register_tasks(app, make_cache(settings))
    start_consuming(app, f"worker{number}", [PREDICT_QUEUE, JOBS_QUEUE])


class WakeOnSignal(bootsteps.StartStopStep):  # type: ignore[misc]
    """Lets a signal end the wait for messages: Celery would notice it at the next heartbeat."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, parent: Any) -> bool:
        return parent.hub is not None and threading.current_thread() is threading.main_thread()

    def start(self, parent: Any) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        parent.hub.add_reader(reader, reader.recv, 64)
        self._sockets = reader, writer

    def stop(self, parent: Any) -> None:
        signal.set_wakeup_fd(-1)
        for end in self._sockets:
            end.close()


def start_consuming(app: Celery, name: str, queues: list[str]) -> None:
    """Run a Celery worker in this thread until it is stopped."""
    app.steps["consumer"].add(WakeOnSignal)
    app.Worker(
        hostname=f"{name}.{os.getpid()}@stackserve",
        queues=queues,
        pool="solo",
        concurrency=1,
        loglevel=None,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    ).start()
