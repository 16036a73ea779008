"""Questions to all workers, over the queue."""

from __future__ import annotations

from typing import Protocol

from celery import Celery

from production_server.messaging.link import CONNECTION_ERRORS

# The Celery nodes that have the versions command; the recorder has not.
MODEL_NODES = "^(worker|embedded)"


class Watched(Protocol):
    """Knows why the broker accepts no messages; "" if it does."""

    alarm: str


class Workers:
    """The workers, as this process reaches them. `lane` knows of the broker's alarms."""

    def __init__(self, app: Celery, lane: Watched) -> None:
        self._app = app
        self._lane = lane

    def versions(self, timeout: float = 1.0) -> list[list[str]]:
        """The versions that each worker has loaded. Empty if they cannot be asked."""
        # Unread questions would pile up, and answers to a few of them are no use later.
        if self._lane.alarm:
            return []
        try:
            replies = self._app.control.broadcast(
                "stackserve_versions",
                reply=True,
                timeout=timeout,
                pattern=MODEL_NODES,
                matcher="pcre",
            )
        except CONNECTION_ERRORS:
            return []
        return [list(held) for reply in replies or [] for held in reply.values() if held]
