"""The predict task: rows in, the model's outputs out, as quickly as Celery lets a task be.

Celery's default way from message to answer takes a millisecond of bookkeeping (signals, request
objects, a confirmed message for the result): twenty times what the model takes. A task may name its
own `Strategy`; this one decodes, predicts, answers and acknowledges on the connection that the
message came by. On the wire it is Celery's protocol both ways.
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

from production_server.messaging.app import PREDICT
from production_server.worker.models import ModelCache

log = logging.getLogger(__name__)

Handler = Callable[..., None]


def register_predict(app: Celery, cache: ModelCache) -> None:
    """Teach `app` the predict task."""

    @app.task(name=PREDICT, Strategy=f"{__name__}:{strategy.__name__}")  # type: ignore[untyped-decorator]
    def predict(version: str, rows: bytes, count: int) -> dict[str, Any]:
        started = time.perf_counter()
        predictor = cache.get(version)
        outputs = predictor.predict(np.frombuffer(rows, "<f4").reshape(count, -1))
        return {
            "version": predictor.version,
            "outputs": outputs.tobytes(),
            "width": outputs.shape[1],
            "seconds": time.perf_counter() - started,
        }


def strategy(task: Task, app: Celery, consumer: Any) -> Handler:
    """What the worker calls with each message of the task."""
    connection_errors = consumer.connection_errors

    def handle(message: Message, *_: object, **__: object) -> None:
        total_count[task.name] += 1
        all_total_count[0] += 1
        # Acknowledged after the answer: a worker that dies meanwhile leaves the rows to another.
        reply(message, outcome(task, app, message))
        message.ack_log_error(log, connection_errors)

    return handle


def outcome(task: Task, app: Celery, message: Message) -> dict[str, Any]:
    """Run the task: Celery's result message, of success or failure."""
    status, traceback = states.SUCCESS, None
    try:
        arguments, options, _ = message.decode()
        result = task.run(*arguments, **options)
    except Exception as error:  # a model is foreign code: it may raise anything
        log.exception("a prediction failed")
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
    """Send it to the queue that the asker named; nobody waits for the broker to confirm it."""
    reply_to = message.properties.get("reply_to")
    if not reply_to:
        return
    content_type, encoding, body = dumps(meta, "msgpack")
    channel = message.channel
    properties = {"correlation_id": meta["task_id"], "delivery_mode": 1}
    answer = channel.prepare_message(
        body, content_type=content_type, content_encoding=encoding, properties=properties
    )
    channel.basic_publish(answer, exchange="", routing_key=reply_to)
