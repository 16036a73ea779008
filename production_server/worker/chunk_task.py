"""The chunk task: predicts one chunk of a job and sends the outcome to the recorder."""

from __future__ import annotations

import functools
import logging
from typing import Any

import numpy as np
from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from production_server.jobs.records import delivery_limit_error
from production_server.messaging.names import PREDICT_CHUNK, RECORD_CHUNK, REQUEST_IDS
from production_server.messaging.senders import signature
from production_server.worker.activity import activity
from production_server.worker.model_cache import ModelCache

log = logging.getLogger(__name__)

DELIVERY_COUNT = "x-delivery-count"
REASON_LENGTH = 500
# The errors of jax's runtime. Importing jax takes too long to compare the classes.
JAX_ERRORS = ("JaxRuntimeError", "XlaRuntimeError")


def register_chunk_task(app: Celery, cache: ModelCache, host: str) -> None:
    """Register the chunk task on `app`. Its outcomes say that they come from `host`."""
    signed = signature(app)

    @app.task(name=PREDICT_CHUNK, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    @functools.partial(activity.measured, chunk=True)
    def predict_chunk(
        task: Task, *, job: str, number: int, version: str, rows: bytes, count: int
    ) -> None:
        deliveries = int(task.request.get(DELIVERY_COUNT) or 0)
        what = f"chunk {number} of job {job}, which request {task.request.get(REQUEST_IDS)} made"
        outcome = delivery_limit_error(deliveries) or predict(cache, version, rows, count, what)
        try:
            app.send_task(
                RECORD_CHUNK,
                args=(job, number, {**outcome, "host": host}),
                argsrepr=f"({job}, {number})",
                ignore_result=True,
                delivery_mode="persistent",
                **signed,
            )
        except OperationalError as error:
            raise Reject(error, requeue=True) from error


def predict(
    cache: ModelCache, version: str, rows: bytes, count: int, what: str = "a chunk"
) -> dict[str, Any]:
    """Predict the rows: the outputs, or the error, and whether it is only temporary."""
    temporary = True
    try:
        predictor = cache.get(version)
        temporary = False
        outputs = predictor.predict(np.frombuffer(rows, "<f4").reshape(count, -1))
        return {"outputs": np.ascontiguousarray(outputs, "<f4").tobytes()}
    except Exception as error:  # a model can raise anything
        log.exception("model %s failed to predict %s", version, what)
        reason = {"error": f"{type(error).__name__}: {error}"[:REASON_LENGTH]}
        return {**reason, "temporary": True} if temporary or is_temporary(error) else reason


def is_temporary(error: Exception) -> bool:
    """Whether memory, the disk or the runtime failed, and not the model on these rows."""
    if type(error).__name__ in JAX_ERRORS:
        return not str(error).startswith("INVALID_ARGUMENT")
    return isinstance(error, MemoryError | OSError)
