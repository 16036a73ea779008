"""How many messages wait for the workers, asked of RabbitMQ without its slow command."""

from __future__ import annotations

from typing import NamedTuple

from amqp.exceptions import NotFound
from celery import Celery

from production_server.messaging.names import JOBS_QUEUE, PREDICT_QUEUE


class QueueCounts(NamedTuple):
    """Messages that no worker has taken yet, and the processes that take them."""

    predict: int
    jobs: int
    processes: int


def queue_counts(app: Celery) -> QueueCounts:
    """Ask RabbitMQ. Raises one of CONNECTION_ERRORS if it cannot be reached."""
    found = {}
    with app.connection_for_write() as connection:
        for name in (PREDICT_QUEUE, JOBS_QUEUE):
            # RabbitMQ closes the channel if there is no such queue.
            with connection.channel() as channel:
                try:
                    found[name] = channel.queue_declare(name, passive=True)
                except NotFound:
                    continue
    predict, jobs = found.get(PREDICT_QUEUE), found.get(JOBS_QUEUE)
    return QueueCounts(
        predict.message_count if predict else 0,
        jobs.message_count if jobs else 0,
        predict.consumer_count if predict else 0,
    )
