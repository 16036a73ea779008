"""The worker: a Celery worker whose process holds the models."""

from __future__ import annotations

import gc

from celery import Celery
from celery.worker.control import inspect_command

from production_server.messaging.app import JOBS_QUEUE, PREDICT_QUEUE, create_app
from production_server.messaging.celery_worker import run_celery_worker
from production_server.model.registry import Registry
from production_server.settings import Settings
from production_server.worker.chunk_task import register_chunks
from production_server.worker.models import ModelCache
from production_server.worker.predict_task import register_predict

# The models of this process, which the remote command below reports.
_cache: ModelCache | None = None


@inspect_command(name="stackserve_versions")  # type: ignore[untyped-decorator]
def loaded_versions(_state: object) -> list[str]:
    """Which model versions this worker has loaded and warmed."""
    return _cache.versions() if _cache else []


def register_tasks(app: Celery, cache: ModelCache) -> None:
    """Register the prediction task and the chunk task on `app`."""
    register_predict(app, cache)
    register_chunks(app, cache)


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
    gc.freeze()  # libraries and model stay; scanning them again takes 50 ms
    run_celery_worker(app, f"worker{number}", [PREDICT_QUEUE, JOBS_QUEUE])
