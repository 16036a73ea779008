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
from production_server.worker.activity import activity
from production_server.worker.chunk_task import register_chunk_task
from production_server.worker.follower import Follower
from production_server.worker.front_end import FrontEnd
from production_server.worker.gate import Gate, JoinWhenReady
from production_server.worker.model_cache import ModelCache
from production_server.worker.predict_task import register_predict_task
from production_server.worker.status import ReportStatus

# For the remote commands below.
_cache: ModelCache | None = None
_vm: WorkerVM | None = None


class WorkerVM:
    """What a process on a worker VM has more than one on the server: its models come from there."""

    def __init__(self, app: Celery, settings: Settings, name: str, number: int, cache: ModelCache):
        self.name = name
        registry = Registry(settings.registry_path)
        self.follower = Follower(registry, cache, FrontEnd(app, name, number))
        self.gate = Gate(self.follower.may_take_tasks, self.follower.connected)
        self.follower.close_gate = self.gate.close
        self.follower.check_gate = self.gate.check
        app.gate = self.gate
        app.steps["consumer"].add(JoinWhenReady)


@inspect_command(name=DESCRIBE)  # type: ignore[untyped-decorator]
def describe(_state: object, wanted: str = "", leave: bool = False) -> WorkerState:
    """Remote command: the model versions that this worker has loaded and warmed, and failures.

    It also tells it which version the server is about to use, or somebody has asked for.
    """
    if _cache is None:
        return WorkerState(models=[], load_failures=0, vm=None, taking_tasks=True, missing={})
    if _vm is None:
        if wanted:
            _cache.want(wanted)
        return WorkerState(
            models=_cache.versions(),
            load_failures=_cache.failures,
            vm=None,
            taking_tasks=True,
            missing={},
        )
    if wanted:
        _vm.follower.hear(wanted)
    if wanted and leave:
        _vm.follower.leave(wanted)
    return WorkerState(
        models=_vm.follower.ready_versions(),
        load_failures=_cache.failures,
        vm=_vm.name,
        taking_tasks=_vm.gate.taking_tasks,
        missing=dict(_vm.follower.missing),
    )


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
    activity.versions = cache.versions
    register_predict_task(app, cache)
    register_chunk_task(app, cache, worker_vm or socket.gethostname())


def make_cache(settings: Settings) -> ModelCache:
    """Load and warm the active model, before the process takes its first task."""
    global _cache  # noqa: PLW0603 - Celery's remote commands are module-level by design
    registry = Registry(settings.registry_path)
    registry.seed()
    _cache = ModelCache(registry)
    if settings.serve_shipped:
        registry.serve_shipped(_cache.get)
    _cache.watch()
    return _cache


def run_worker(settings: Settings, number: int) -> None:
    """Run tasks until a signal stops the process. SIGTERM lets the current task finish."""
    global _vm  # noqa: PLW0603 - Celery's remote commands are module-level by design
    app = create_app(settings)
    cache = make_cache(settings)
    name = settings.worker_vm
    register_tasks(app, cache, name)
    if name is None:
        node = node_name(f"worker{number}")
        app.steps["consumer"].add(ReportStatus)
    else:
        # A worker VM's processes have fixed names: their queues were declared on the server.
        node = worker_node(number, name)
        _vm = WorkerVM(app, settings, name, number, cache)
        _vm.follower.start()
    gc.freeze()  # exempt libraries and model from collections, which would take 50 ms
    run_celery_worker(app, node, [PREDICT_QUEUE, JOBS_QUEUE])
