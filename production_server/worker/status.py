"""Tells systemd whether this worker takes tasks. systemctl shows it as the unit's status."""

from __future__ import annotations

import socket
from typing import Any

from celery import bootsteps

from production_server.settings import notify_socket

TAKING_TASKS = "taking tasks"
DISCONNECTED = "waiting for RabbitMQ"


def report(status: str) -> None:
    """Set the unit's status, if systemd runs this process and wants to know."""
    address = notify_socket()
    if address is None:
        return
    # systemd spells an abstract socket with @.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(f"STATUS={status}".encode(), path)
        except OSError:
            return  # nothing depends on it but a message


class ReportStatus(bootsteps.StartStopStep):  # type: ignore[misc]
    """Reports each start and end of the consumers, so also each lost connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        report(TAKING_TASKS)

    def stop(self, parent: Any) -> None:
        report(DISCONNECTED)
