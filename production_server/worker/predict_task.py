"""The predict task: rows in, the model's outputs out, with as little overhead as Celery allows.

Celery's default strategy spends a millisecond on signals, request objects and a confirmed result
message, twenty times as long as the model takes. So this task has its own `Strategy`: it decodes,
predicts, replies and acknowledges on the connection that delivered the message. The messages still
follow Celery's protocol.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from celery import Celery, Task, states
from celery.worker.state import all_total_count, total_count
from kombu import Message
from kombu.serialization import dumps

from production_server.messaging.names import ANSWERS, PREDICT, REQUEST_IDS
from production_server.worker.activity import activity
from production_server.worker.model_cache import ModelCache, VersionMissing

log = logging.getLogger(__name__)

Handler = Callable[..., None]


def register_predict_task(app: Celery, cache: ModelCache) -> None:
    """Register the predict task on `app`."""

    @app.task(name=PREDICT, Strategy=f"{__name__}:{strategy.__name__}")  # type: ignore[untyped-decorator]
    def predict(version: str, rows: bytes, count: int) -> dict[str, Any]:
        started = time.perf_counter()
        predictor = cache.get(version, wait=False)
        outputs = predictor.predict(np.frombuffer(rows, "<f4").reshape(count, -1))
        return {
            "version": predictor.version,
            "outputs": outputs.tobytes(),
            "width": outputs.shape[1],
            "seconds": time.perf_counter() - started,
        }


def strategy(task: Task, app: Celery, consumer: Any) -> Handler:
    """Create the handler that the worker calls with each message of the task."""
    connection_errors = consumer.connection_errors

    def handle(message: Message, *_: object, **__: object) -> None:
        total_count[task.name] += 1
        all_total_count[0] += 1
        try:
            meta = run(task, app, message)
        except VersionMissing:
            # This worker VM has stopped taking tasks, so another worker gets the rows.
            message.reject_log_error(log, connection_errors, requeue=True)
            return
        # Acknowledge after replying: if this worker dies before, another one gets the rows.
        reply(message, meta)
        message.ack_log_error(log, connection_errors)

    return activity.measured(handle)


def run(task: Task, app: Celery, message: Message) -> dict[str, Any]:
    """Run the task and return its result message, in Celery's format."""
    status, traceback, requests = states.SUCCESS, None, None
    try:
        arguments, options, more = message.decode()
        requests = more.get(REQUEST_IDS)
        result = task.run(*arguments, **options)
    except VersionMissing:
        raise
    except Exception as error:  # a model can raise anything
        log.exception("a prediction failed; its requests: %s", requests)
        status, traceback = states.FAILURE, str(error)
        result = app.backend.prepare_exception(error)
    return {
        "task_id": message.headers["id"],
        "status": status,
        "result": result,
        "traceback": traceback,
        "children": [],
    }


def reply(message: Message, meta: dict[str, Any]) -> None:
    """Send the result to the message's reply queue, without a publisher confirm."""
    reply_to = message.properties.get("reply_to")
    if not reply_to:
        return
    content_type, encoding, body = dumps(meta, "msgpack")
    channel = message.channel
    properties = {"correlation_id": meta["task_id"], "delivery_mode": 1}
    answer = channel.prepare_message(
        body, content_type=content_type, content_encoding=encoding, properties=properties
    )
    channel.basic_publish(answer, exchange=ANSWERS, routing_key=reply_to)
