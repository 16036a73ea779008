"""The worker process: a Celery worker with the models in its memory."""

from __future__ import annotations

import gc
import socket
from typing import Any

from celery import Celery
from celery.worker.control import inspect_command

from production_server.messaging.app import create_app
from production_server.messaging.celery_worker import node_name, run_celery_worker
from production_server.messaging.names import JOBS_QUEUE, PREDICT_QUEUE, worker_node
from production_server.messaging.workers import DESCRIBE, DRAIN, WorkerState
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.worker.chunk_task import register_chunk_task
from production_server.worker.model_cache import ModelCache
from production_server.worker.predict_task import register_predict_task
from production_server.worker.status import ReportStatus

# For the remote commands below.
_cache: ModelCache | None = None


@inspect_command(name=DESCRIBE)  # type: ignore[untyped-decorator]
def describe(_state: object) -> WorkerState:
    """Remote command: the model versions that this worker has loaded and warmed, and failures."""
    if _cache is None:
        return {"models": [], "load_failures": 0}
    return {"models": _cache.versions(), "load_failures": _cache.failures}


@inspect_command(name=DRAIN)  # type: ignore[untyped-decorator]
def drain(state: Any) -> dict[str, bool]:
    """Remote command: take no more tasks, and reply once those that this worker holds are done.

    RabbitMQ confirms the end of each consumer after the tasks that it has sent before. This thread
    runs them while it waits for that, so nothing is left when it replies.
    """
    consumer = state.consumer
    for queue in list(consumer.app.amqp.queues.consume_from):
        consumer.cancel_task_queue(queue)
    return {"drained": True}


def register_tasks(app: Celery, cache: ModelCache, worker_vm: str | None) -> None:
    """Register the predict task and the chunk task on `app`."""
    register_predict_task(app, cache)
    register_chunk_task(app, cache, worker_vm or socket.gethostname())


def make_cache(settings: Settings) -> ModelCache:
    """Load and warm the active model, before the process takes its first task."""
    global _cache  # noqa: PLW0603 - Celery's remote commands are module-level by design
    registry = Registry(settings.registry_path)
    registry.seed()
    _cache = ModelCache(registry)
    _cache.watch()
    return _cache


def run_worker(settings: Settings, number: int) -> None:
    """Run tasks until a signal stops the process. SIGTERM lets the current task finish."""
    app = create_app(settings)
    app.steps["consumer"].add(ReportStatus)
    register_tasks(app, make_cache(settings), settings.worker_vm)
    gc.freeze()  # exempt libraries and model from collections, which would take 50 ms
    # A worker VM's processes have fixed names: their queues were declared on the server.
    vm = settings.worker_vm
    node = worker_node(number, vm) if vm else node_name(f"worker{number}")
    run_celery_worker(app, node, [PREDICT_QUEUE, JOBS_QUEUE])
