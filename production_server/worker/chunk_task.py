"""The task of a worker: predict a chunk of a job, and send its outcome to the recorder."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from production_server.jobs.records import verdict
from production_server.messaging.app import PREDICT_CHUNK, RECORD_CHUNK
from production_server.worker.models import ModelCache

log = logging.getLogger(__name__)

DELIVERY_COUNT = "x-delivery-count"
REASON_LENGTH = 500


def register_chunks(app: Celery, cache: ModelCache) -> None:
    """Teach a worker to predict chunks."""

    @app.task(name=PREDICT_CHUNK, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def predict_chunk(
        task: Task, *, job: str, number: int, version: str, rows: bytes, count: int
    ) -> None:
        deliveries = int(task.request.get(DELIVERY_COUNT) or 0)
        outcome = verdict(deliveries) or predict(cache, version, rows, count)
        try:
            app.send_task(
                RECORD_CHUNK,
                args=(job, number, outcome),
                argsrepr=f"({job}, {number})",
                ignore_result=True,
                delivery_mode="persistent",
            )
        except OperationalError as error:
            raise Reject(error, requeue=True) from error


def predict(cache: ModelCache, version: str, rows: bytes, count: int) -> dict[str, Any]:
    """Outputs, or the reason why there are none."""
    try:
        outputs = cache.get(version).predict(np.frombuffer(rows, "<f4").reshape(count, -1))
    except Exception as error:  # a model is foreign code: it may raise anything
        log.exception("a chunk of model %s failed", version)
        return {"error": f"{type(error).__name__}: {error}"[:REASON_LENGTH]}
    return {"outputs": np.ascontiguousarray(outputs, "<f4").tobytes()}
