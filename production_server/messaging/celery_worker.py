"""Runs a Celery worker in the calling thread."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
from typing import Any

# Celery imports it when it is needed. In a process with several threads, two of them would do so at
# the same time, and one would get Python's _DeadlockError.
import celery.events  # noqa: F401
from celery import Celery, bootsteps

ALIVE_SECONDS = 10.0


class WakeOnSignal(bootsteps.StartStopStep):  # type: ignore[misc]
    """Wakes the event loop on a signal; Celery would only notice it at the next heartbeat."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, parent: Any) -> bool:
        return parent.hub is not None and threading.current_thread() is threading.main_thread()

    def start(self, parent: Any) -> None:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        parent.hub.add_reader(reader, reader.recv, 64)
        self._sockets = reader, writer

    def stop(self, parent: Any) -> None:
        signal.set_wakeup_fd(-1)
        for end in self._sockets:
            end.close()


class SayAlive(bootsteps.StartStopStep):  # type: ignore[misc]
    """Changes the app's `alive_file` while the event loop turns, so not while a task hangs."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, parent: Any) -> bool:
        return parent.hub is not None and parent.app.alive_file is not None

    def start(self, parent: Any) -> None:
        self._timer = parent.hub.call_repeatedly(ALIVE_SECONDS, parent.app.alive_file.touch)

    def stop(self, parent: Any) -> None:
        self._timer.cancel()


def node_name(name: str) -> str:
    """A name that no other process has, on this machine or on another with the same host name."""
    return f"{name}.{os.getpid()}.{secrets.token_hex(4)}@{socket.gethostname() or 'unknown'}"


def run_celery_worker(app: Celery, node: str, queues: list[str]) -> None:
    """Consume `queues` in this thread until the worker is stopped, as the Celery node `node`."""
    app.steps["consumer"].add(WakeOnSignal)
    app.steps["consumer"].add(SayAlive)
    app.Worker(
        hostname=node,
        queues=queues,
        pool="solo",
        concurrency=1,
        loglevel=None,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    ).start()
