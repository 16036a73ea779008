"""The worker's consumer, on Celery's own event loop."""

from __future__ import annotations

import socket

import pytest
from kombu.asynchronous import Hub

from production_server.messaging.app import LeanConsumer


def test_a_task_is_acknowledged_before_the_loop_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RabbitMQ may hold back the next task until then, so the worker would wait for a heartbeat.

    Celery runs a worker's first tasks in a callback of the loop, as this test does. Whatever they
    schedule for the next iteration runs only after the loop has blocked.
    """
    consumer = LeanConsumer.__new__(LeanConsumer)
    consumer.hub = hub = Hub()
    acknowledged: list[str] = []
    acknowledged_at_poll: list[list[str]] = []
    hub.call_soon(consumer.call_soon_ack, acknowledged.append, "the task")

    def poll(_timeout: float) -> list[object]:
        acknowledged_at_poll.append(list(acknowledged))
        return []

    monkeypatch.setattr(hub.poller, "poll", poll)
    here, there = socket.socketpair()
    with here, there:
        hub.add_reader(here, here.recv, 1)
        next(hub.create_loop())
        hub.close()
    assert acknowledged_at_poll == [["the task"]]
