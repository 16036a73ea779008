"""The worker's consumer on Celery's own event loop."""

from __future__ import annotations

import socket

import pytest
from kombu.asynchronous import Hub

from production_server.messaging.app import LeanConsumer


def test_a_task_is_acknowledged_before_the_loop_waits_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RabbitMQ may hold the next task back until then: the wait would last until a heartbeat.

    Celery takes a worker's first tasks in a callback of the loop, as it is done here. What they
    leave to its next turn is done after the wait.
    """
    consumer = LeanConsumer.__new__(LeanConsumer)
    consumer.hub = hub = Hub()
    acknowledged: list[str] = []
    when_it_waits: list[list[str]] = []
    hub.call_soon(consumer.call_soon_ack, acknowledged.append, "the task")

    def poll(_timeout: float) -> list[object]:
        when_it_waits.append(list(acknowledged))
        return []

    monkeypatch.setattr(hub.poller, "poll", poll)
    here, there = socket.socketpair()
    with here, there:
        hub.add_reader(here, here.recv, 1)
        next(hub.create_loop())
        hub.close()
    assert when_it_waits == [["the task"]]
