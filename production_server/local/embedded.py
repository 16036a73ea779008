"""Runs web tier, queue, worker and recorder in one process, with nothing to install.

The queue is kombu's in-memory transport. The Celery tasks are the same as on a server.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from celery import Celery
from celery.worker import state

from production_server.jobs.process import Recorder
from production_server.local.console import Console
from production_server.local.readiness import report_ready
from production_server.local.signals import stop_signals
from production_server.messaging.app import create_app
from production_server.messaging.celery_worker import node_name, run_celery_worker
from production_server.messaging.names import JOBS_QUEUE, PREDICT_QUEUE, RESULTS_QUEUE
from production_server.settings import Settings, set_up_logging
from production_server.trainer.process import Trainer
from production_server.web import request_log
from production_server.web.app import create_front
from production_server.web.run import SWITCH_SECONDS, server_config
from production_server.worker.process import make_cache, register_tasks


def serve_embedded(settings: Settings, console: Console) -> None:
    """Serve until a signal stops it."""
    sys.setswitchinterval(SWITCH_SECONDS)
    set_up_logging("WARNING")
    if settings.request_log == "on":
        logging.getLogger(request_log.log.name).setLevel(logging.INFO)
    settings.home.mkdir(parents=True, exist_ok=True)
    console.step("Loading the model")
    app = create_app(settings)
    register_tasks(app, make_cache(settings), settings.worker_vm)
    recorder = Recorder(settings, app)
    recorder.register_tasks()
    console.step("Starting queue, worker and recorder")
    worker = threading.Thread(target=_consume, args=(app,), name="worker", daemon=True)
    worker.start()
    recorder.start()
    trainer = Trainer(settings)
    training = threading.Thread(target=trainer.run, name="trainer", daemon=True)
    training.start()
    console.step("Starting the web tier")
    try:
        front = create_front(settings)
        gc.freeze()  # as in the web process; see web/run.py
        server = EmbeddedServer(server_config(front, settings))
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_serve(server, settings, console))
    finally:
        console.step("Stopping")
        trainer.stop()
        recorder.stop()
        state.should_stop = 0
        worker.join(timeout=5)
        training.join(timeout=10)


class EmbeddedServer(uvicorn.Server):
    """Leaves signals to this process, which must stop the worker and the recorder too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _consume(app: Celery) -> None:
    run_celery_worker(app, node_name("embedded"), [PREDICT_QUEUE, JOBS_QUEUE, RESULTS_QUEUE])


async def _serve(server: EmbeddedServer, settings: Settings, console: Console) -> None:
    stopping = threading.Event()

    def stop() -> None:
        stopping.set()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stop)
    threading.Thread(
        target=report_ready, args=(settings, console, stopping.is_set), name="ready", daemon=True
    ).start()
    await server.serve()
