"""The recorder process: runs the dispatcher, and writes the outcomes of chunks to the store."""

from __future__ import annotations

from celery import Celery

from production_server.jobs.chunk_queue import chunk_publisher, queue_length, register_record_task
from production_server.jobs.dispatcher import Dispatcher
from production_server.jobs.store import Store
from production_server.messaging.app import RESULTS_QUEUE, create_app
from production_server.messaging.celery_worker import run_celery_worker
from production_server.settings import Settings


class Recorder:
    """The recorder's task on `app`, and the dispatcher in a thread.

    With --services and on servers it has its own process. Otherwise it runs in the single process.
    """

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._app = app
        self._store = Store(settings.store)
        self._dispatcher = Dispatcher(
            self._store,
            chunk_publisher(app),
            queue_length(app),
            retention=settings.job_retention,
            one_process=settings.embedded,
        )

    def register_tasks(self) -> None:
        register_record_task(self._app, self._store, self._dispatcher.wake, self._dispatcher.retry)

    def start(self) -> None:
        self._dispatcher.start()

    def stop(self) -> None:
        self._dispatcher.stop()
        self._store.close()


def run_recorder(settings: Settings) -> None:
    """Run the recorder until a signal stops it."""
    app = create_app(settings)
    recorder = Recorder(settings, app)
    recorder.register_tasks()
    recorder.start()
    try:
        run_celery_worker(app, "recorder", [RESULTS_QUEUE])
    finally:
        recorder.stop()
