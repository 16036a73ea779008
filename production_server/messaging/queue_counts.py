"""How many messages wait in queues, and who consumes them; RabbitMQ's own command is slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from amqp.exceptions import NotFound
from amqp.protocol import queue_declare_ok_t
from celery import Celery

from production_server.messaging.names import JOBS_QUEUE, PREDICT_QUEUE


class QueueCounts(NamedTuple):
    """Messages that no worker has taken yet, and the processes that take them."""

    predict: int
    jobs: int
    processes: int


def queue_counts(app: Celery) -> QueueCounts:
    """Ask RabbitMQ. Raises one of CONNECTION_ERRORS if it cannot be reached."""
    found = _declared(app, (PREDICT_QUEUE, JOBS_QUEUE))
    predict, jobs = found.get(PREDICT_QUEUE), found.get(JOBS_QUEUE)
    return QueueCounts(
        predict.message_count if predict else 0,
        jobs.message_count if jobs else 0,
        predict.consumer_count if predict else 0,
    )


def consumed(app: Celery, queues: Sequence[str]) -> set[str]:
    """Those of the queues that exist and have a consumer."""
    return {name for name, queue in _declared(app, queues).items() if queue.consumer_count}


def _declared(app: Celery, names: Sequence[str]) -> dict[str, queue_declare_ok_t]:
    """What RabbitMQ says about those of the queues that exist."""
    found = {}
    with app.connection_for_write() as connection:
        for name in names:
            # RabbitMQ closes the channel if there is no such queue.
            with connection.channel() as channel:
                try:
                    found[name] = channel.queue_declare(name, passive=True)
                except NotFound:
                    continue
    return found
