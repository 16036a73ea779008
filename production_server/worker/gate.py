"""Lets a worker VM take tasks only while it has the models for them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery import bootsteps

from production_server.worker.status import DISCONNECTED, TAKING_TASKS, report


class Gate:
    """Open while this process takes tasks. It is closed at the start of each connection."""

    def __init__(self, may_open: Callable[[], bool], on_connect: Callable[[], None]) -> None:
        self._may_open = may_open
        self._on_connect = on_connect
        self._open = False
        self._consumer: Any = None
        self._ends: tuple[socket.socket, ...] = ()

    @property
    def taking_tasks(self) -> bool:
        """False also after a drain, which leaves no queue to consume."""
        return self._open and self._consumer is not None and bool(self._queues())

    def attach(self, consumer: Any) -> None:
        """Take no task from a new connection yet."""
        self._consumer = consumer
        self.close()
        self._ends = reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        consumer.hub.add_reader(reader, self._check, reader)
        self._on_connect()

    def detach(self) -> None:
        self._consumer, self._open = None, False
        for end in self._ends:
            end.close()

    def check(self) -> None:
        """Open soon if it may. Call it from any thread."""
        # An error means that the connection has just ended, or that this was called before.
        with suppress(OSError, IndexError):
            self._ends[1].send(b".")

    def close(self) -> None:
        """Take no more tasks. Call it on the consumer's thread only.

        Those that RabbitMQ has sent before run while this waits for its confirmation.
        """
        self._open = False
        if self._consumer is not None:
            for name in list(self._queues()):
                self._consumer.task_consumer.cancel_by_queue(name)

    def _check(self, reader: socket.socket) -> None:
        with suppress(OSError):
            reader.recv(64)
        if self._consumer is None or self._open or not self._may_open():
            return
        self._open = True
        tasks = self._consumer.task_consumer
        for queue in self._queues().values():
            if not tasks.consuming_from(queue):
                tasks.add_queue(queue)
        tasks.consume()
        report(TAKING_TASKS)
        self._read_what_has_arrived()

    def _read_what_has_arrived(self) -> None:
        """Run tasks that came in the same TLS record as RabbitMQ's last confirmation.

        They are decrypted already, so the socket stays silent about them, until the next heartbeat.
        """
        connection = self._consumer.connection
        connection.transport.on_readable(connection.connection, self._consumer.hub)

    def _queues(self) -> Any:
        return self._consumer.app.amqp.queues.consume_from


class JoinWhenReady(bootsteps.StartStopStep):  # type: ignore[misc]
    """Connects the gate of this process to each new connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        parent.app.gate.attach(parent)

    def stop(self, parent: Any) -> None:
        parent.app.gate.detach()
        report(DISCONNECTED)
