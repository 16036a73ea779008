"""The recorder process: sends chunks, writes their outcomes to the store, and tidies the store.

It also sends models to worker VMs, and ends trials of new versions.
"""

from __future__ import annotations

from celery import Celery

from production_server.jobs.chunk_queue import chunk_publisher, queue_length, register_record_task
from production_server.jobs.dispatcher import Dispatcher
from production_server.jobs.housekeeping import Housekeeper
from production_server.jobs.store import Store
from production_server.jobs.trial_keeper import TrialKeeper
from production_server.messaging.app import create_app
from production_server.messaging.celery_worker import node_name, run_celery_worker
from production_server.messaging.names import RESULTS_QUEUE
from production_server.model.registry import Registry
from production_server.remote.model_source import ModelSource
from production_server.settings import Settings


class Recorder:
    """The recorder's task on `app`; dispatcher, housekeeper and trial keeper in a thread each.

    With --services and on servers it has its own process. Otherwise it runs in the single process.
    """

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._app = app
        self._one_process = settings.embedded
        self._store = Store(settings.store, settings.store_bytes)
        self._dispatcher = Dispatcher(
            self._store,
            chunk_publisher(app),
            queue_length(app),
            one_process=settings.embedded,
        )
        self._housekeeper = Housekeeper(self._store, settings.job_retention)
        self._trial_keeper = TrialKeeper(Registry(settings.registry_path), self._store)

    def register_tasks(self) -> None:
        register_record_task(
            self._app,
            self._store,
            self._dispatcher.wake,
            self._dispatcher.retry,
            one_process=self._one_process,
        )

    def start(self) -> None:
        self._dispatcher.start()
        self._housekeeper.start()
        self._trial_keeper.start()

    def stop(self) -> None:
        self._dispatcher.stop()
        self._housekeeper.stop()
        self._trial_keeper.stop()
        self._store.close()


def run_recorder(settings: Settings) -> None:
    """Run the recorder until a signal stops it."""
    app = create_app(settings)
    recorder = Recorder(settings, app)
    recorder.register_tasks()
    recorder.start()
    models = ModelSource(app, Registry(settings.registry_path))
    models.start()
    try:
        run_celery_worker(app, node_name("recorder"), [RESULTS_QUEUE])
    finally:
        models.stop()
        recorder.stop()
