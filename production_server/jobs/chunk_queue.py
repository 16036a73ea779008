"""The recorder's side of the queue: sends chunks, counts waiting ones and records outcomes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from amqp.exceptions import NotFound
from celery import Celery, Task
from sqlalchemy.exc import SQLAlchemyError

from production_server.errors import QueueError
from production_server.jobs.records import Outcome, Payload
from production_server.jobs.store import Store
from production_server.messaging.batches import CHECK_BROKER, NO_BROKER
from production_server.messaging.link import CONNECTION_ERRORS
from production_server.messaging.names import (
    JOBS_QUEUE,
    PREDICT_CHUNK,
    RECORD_CHUNK,
    REQUEST_IDS,
)
from production_server.messaging.senders import host_of, own_account

log = logging.getLogger(__name__)

STORE_RETRY = 1.0
STORE_PATIENCE = 600.0


def register_record_task(
    app: Celery,
    store: Store,
    on_record: Callable[[], None],
    on_retry: Callable[[str, int, str], None],
    *,
    one_process: bool,
) -> None:
    """Register the task that records outcomes. It calls `on_record` after each.

    It calls `on_retry` instead for a chunk that the worker could not try. With `one_process`, the
    same thread runs the predictions, and another one waits for a store that is full or away.
    """

    def keep_trying(job: str, number: int, outcome: Outcome) -> None:
        give_up = time.monotonic() + STORE_PATIENCE
        while True:
            try:
                store.record(job, number, outcome)
            except SQLAlchemyError as error:
                # The message stays unacknowledged while this retries. If the process dies or gives
                # up, the dispatcher sends the chunk again.
                if time.monotonic() > give_up:
                    raise
                log.warning("cannot record an outcome, retrying: %s", error)
                time.sleep(STORE_RETRY)
            else:
                on_record()
                return

    own = own_account(app)

    @app.task(name=RECORD_CHUNK, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def record_chunk(task: Task, job: str, number: int, outcome: dict[str, Any]) -> None:
        if outcome.get("temporary"):
            on_retry(job, number, str(outcome["error"]))
            return
        host = host_of(task.request.properties, outcome.get("host"), own)
        found = Outcome(outcome.get("outputs"), outcome.get("error"), host)
        if not one_process:
            keep_trying(job, number, found)
            return
        try:
            store.record(job, number, found)
        except SQLAlchemyError:
            threading.Thread(target=keep_trying, args=(job, number, found), daemon=True).start()
        else:
            on_record()


def chunk_publisher(app: Celery) -> Callable[[Payload], None]:
    """A function that sends a chunk in a durable message and waits for the broker's confirm."""

    def publish(payload: Payload) -> None:
        chunk = dict(vars(payload))
        request_id = chunk.pop("request_id")
        try:
            app.send_task(
                PREDICT_CHUNK,
                kwargs=chunk,
                # Workers of an older release would refuse one more argument.
                headers={REQUEST_IDS: request_id},
                # By default, Celery formats all 160 kB of numbers and then truncates the text.
                kwargsrepr=f"({payload.job}, {payload.number})",
                ignore_result=True,
                delivery_mode="persistent",
                retry=False,
            )
        except CONNECTION_ERRORS as error:
            raise QueueError(NO_BROKER, CHECK_BROKER) from error

    return publish


def queue_length(app: Celery) -> Callable[[], int]:
    """A function that counts the chunks that wait in the queue."""

    def count() -> int:
        try:
            with app.connection_for_write() as connection:
                queue = app.amqp.queues[JOBS_QUEUE](connection.default_channel)
                return int(queue.queue_declare(passive=True).message_count)
        except NotFound:
            return 0  # the broker lost its data, and no worker has declared the queue again
        except CONNECTION_ERRORS as error:
            raise QueueError(NO_BROKER, CHECK_BROKER) from error

    return count
