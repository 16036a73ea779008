"""The two tasks of a job: predict a chunk (on a worker), record its outcome (on the recorder)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from amqp.exceptions import NotFound
from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from production_server.errors import QueueError
from production_server.jobs.records import Outcome, Payload
from production_server.messaging.app import JOBS_QUEUE, PREDICT_CHUNK, RECORD_CHUNK
from production_server.messaging.lane import CHECK_BROKER, CONNECTION_ERRORS, NO_BROKER
from production_server.messaging.models import ModelCache

if TYPE_CHECKING:
    from production_server.jobs.store import Store

log = logging.getLogger(__name__)

# A chunk that was handed out this often and never finished is taken to kill its worker.
# RabbitMQ counts in a quorum queue's messages (absent at first): 3.8 to 4.2 every return of the
# message, from 4.3 on only those by a lost channel or a reject, which is what is meant here.
MOST_DELIVERIES = 3
DELIVERY_COUNT = "x-delivery-count"
REASON_LENGTH = 500
STORE_RETRY = 1.0
STORE_PATIENCE = 600.0


def register_worker_tasks(app: Celery, cache: ModelCache) -> None:
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


def verdict(deliveries: int) -> dict[str, Any] | None:
    """The outcome of a chunk that is not to be tried again."""
    if deliveries < MOST_DELIVERIES:
        return None
    return {"error": f"it was given to a worker {deliveries} times and each time the worker died"}


def predict(cache: ModelCache, version: str, rows: bytes, count: int) -> dict[str, Any]:
    """Outputs, or the reason why there are none."""
    try:
        outputs = cache.get(version).predict(np.frombuffer(rows, "<f4").reshape(count, -1))
    except Exception as error:  # a model is foreign code: it may raise anything
        log.exception("a chunk of model %s failed", version)
        return {"error": f"{type(error).__name__}: {error}"[:REASON_LENGTH]}
    return {"outputs": np.ascontiguousarray(outputs, "<f4").tobytes()}


def register_recorder_tasks(app: Celery, store: Store, recorded: Callable[[], None]) -> None:
    """Teach the recorder to write outcomes; `recorded` is called after each."""
    # Not above: a worker keeps no store, and the library of it takes 15 MB.
    from sqlalchemy.exc import SQLAlchemyError

    @app.task(name=RECORD_CHUNK, ignore_result=True)  # type: ignore[untyped-decorator]
    def record_chunk(job: str, number: int, outcome: dict[str, Any]) -> None:
        found = Outcome(outputs=outcome.get("outputs"), error=outcome.get("error"))
        give_up = time.monotonic() + STORE_PATIENCE
        while True:
            try:
                store.record(job, number, found)
            except SQLAlchemyError as error:
                # The message stays unacknowledged meanwhile. If this process dies or gives up,
                # the dispatcher sends the chunk again.
                if time.monotonic() > give_up:
                    raise
                log.warning("an outcome cannot be written now, trying again: %s", error)
                time.sleep(STORE_RETRY)
            else:
                recorded()
                return


def publisher(app: Celery) -> Callable[[Payload], None]:
    """How the dispatcher sends a chunk: durable, confirmed by the broker."""

    def publish(payload: Payload) -> None:
        try:
            app.send_task(
                PREDICT_CHUNK,
                kwargs=vars(payload),
                # Else Celery writes 160 kB of numbers as text, only to cut it off.
                kwargsrepr=f"({payload.job}, {payload.number})",
                ignore_result=True,
                delivery_mode="persistent",
                retry=False,
            )
        except CONNECTION_ERRORS as error:
            raise QueueError(NO_BROKER, CHECK_BROKER) from error

    return publish


def queue_length(app: Celery) -> Callable[[], int]:
    """How the dispatcher learns how many chunks wait in the queue."""

    def queued() -> int:
        try:
            with app.connection_for_write() as connection:
                queue = app.amqp.queues[JOBS_QUEUE](connection.default_channel)
                return int(queue.queue_declare(passive=True).message_count)
        except NotFound:
            return 0  # the broker has lost its data, and no worker was back yet
        except CONNECTION_ERRORS as error:
            raise QueueError(NO_BROKER, CHECK_BROKER) from error

    return queued
