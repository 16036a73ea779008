"""The recorder: writes the outcomes of chunks to the store, and holds the dispatcher."""

from __future__ import annotations

from celery import Celery

from production_server.jobs.dispatcher import Dispatcher
from production_server.jobs.recording import publisher, queue_length, register_recording
from production_server.jobs.store import Store
from production_server.messaging.app import RESULTS_QUEUE, create_app
from production_server.messaging.celery_worker import run_celery_worker
from production_server.settings import Settings


class Recorder:
    """What a process needs to record: its tasks in `app`, and the dispatcher's thread.

    In a service of separate processes it has one of its own; embedded, it is in the one process.
    """

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._app = app
        self._store = Store(settings.store)
        self._dispatcher = Dispatcher(
            self._store,
            publisher(app),
            queue_length(app),
            retention=settings.job_retention,
            one_process=settings.embedded,
        )

    def register_tasks(self) -> None:
        register_recording(self._app, self._store, self._dispatcher.wake)

    def start(self) -> None:
        self._dispatcher.start()

    def stop(self) -> None:
        self._dispatcher.stop()
        self._store.close()


def run_recorder(settings: Settings) -> None:
    """Record until told to stop."""
    app = create_app(settings)
    recorder = Recorder(settings, app)
    recorder.register_tasks()
    recorder.start()
    try:
        run_celery_worker(app, "recorder", [RESULTS_QUEUE])
    finally:
        recorder.stop()
