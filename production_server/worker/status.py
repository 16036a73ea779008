"""Tells systemd whether this worker takes tasks. systemctl shows it as the unit's status."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from production_server.system_manager import notify

TAKING_TASKS = "taking tasks"
DISCONNECTED = "waiting for RabbitMQ"


def report(status: str) -> None:
    """Set the unit's status, if systemd runs this process and wants to know."""
    notify(f"STATUS={status}")


class ReportStatus(bootsteps.StartStopStep):  # type: ignore[misc]
    """Reports each start and end of the consumers, so also each lost connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        report(TAKING_TASKS)

    def stop(self, parent: Any) -> None:
        report(DISCONNECTED)
