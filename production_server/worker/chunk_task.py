"""The chunk task: predicts one chunk of a job and sends the outcome to the recorder."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from production_server.jobs.records import delivery_limit_error
from production_server.messaging.app import PREDICT_CHUNK, RECORD_CHUNK
from production_server.worker.model_cache import ModelCache

log = logging.getLogger(__name__)

DELIVERY_COUNT = "x-delivery-count"
REASON_LENGTH = 500


def register_chunk_task(app: Celery, cache: ModelCache) -> None:
    """Register the chunk task on `app`."""

    @app.task(name=PREDICT_CHUNK, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def predict_chunk(
        task: Task, *, job: str, number: int, version: str, rows: bytes, count: int
    ) -> None:
        deliveries = int(task.request.get(DELIVERY_COUNT) or 0)
        outcome = delivery_limit_error(deliveries) or predict(cache, version, rows, count)
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
    """Predict the rows: the outputs, or the error."""
    try:
        outputs = cache.get(version).predict(np.frombuffer(rows, "<f4").reshape(count, -1))
    except Exception as error:  # a model can raise anything
        log.exception("model %s failed to predict a chunk", version)
        return {"error": f"{type(error).__name__}: {error}"[:REASON_LENGTH]}
    return {"outputs": np.ascontiguousarray(outputs, "<f4").tobytes()}
