"""A worker's way through a queue that is longer than what it may hold."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery

from production_server.local import rabbitmq
from production_server.messaging.app import PREDICT, PREDICT_QUEUE, create_app
from production_server.settings import Settings
from tests.support.service import Service

TASKS = 60
# Half a heartbeat: what a worker would wait that leaves its acknowledgements to the next event.
# One worker holds 4 messages, so 60 would take minutes.
SECONDS = 7.5


def broker_of(service: Service) -> str:
    url = service.processes("recorder")[0].environ()["STACKSERVE_BROKER_URL"]
    assert url.startswith("amqp://")
    return url


def waiting(app: Celery) -> int:
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[PREDICT_QUEUE](connection.default_channel)
        return int(queue.queue_declare(passive=True).message_count)


def test_a_full_prefetch_does_not_stop_a_worker(
    needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    with Service(tmp_path, "--services", "--workers", "1") as service:
        app = create_app(Settings(home=tmp_path, broker_url=broker_of(service)))
        row = struct.pack("<8f", 2, 120, 70, 25, 100, 30, 0.4, 35)
        for _ in range(TASKS):
            app.send_task(PREDICT, args=("diabetes-1", row, 1), ignore_result=True)
        began = time.monotonic()
        while waiting(app):
            assert time.monotonic() - began < SECONDS, f"{waiting(app)} tasks are still waiting"
            time.sleep(0.05)
