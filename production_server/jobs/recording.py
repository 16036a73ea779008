"""The recorder and the queue: its task that writes outcomes, and what the dispatcher asks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from amqp.exceptions import NotFound
from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from production_server.errors import QueueError
from production_server.jobs.records import Outcome, Payload
from production_server.jobs.store import Store
from production_server.messaging.app import JOBS_QUEUE, PREDICT_CHUNK, RECORD_CHUNK
from production_server.messaging.batches import CHECK_BROKER, NO_BROKER
from production_server.messaging.link import CONNECTION_ERRORS

log = logging.getLogger(__name__)

STORE_RETRY = 1.0
STORE_PATIENCE = 600.0


def register_recording(app: Celery, store: Store, recorded: Callable[[], None]) -> None:
    """Teach the recorder to write outcomes; `recorded` is called after each."""

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
