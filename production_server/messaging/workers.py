"""Questions to all workers, over the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypedDict

from celery import Celery

from production_server.messaging.link import CONNECTION_ERRORS

DESCRIBE = "stackserve_describe"
DRAIN = "stackserve_drain"
# The Celery nodes that have this command; the recorder has not.
MODEL_NODES = "^(worker|embedded)"


class WorkerState(TypedDict):
    """What a worker says about itself: its loaded versions, and how often loading one failed."""

    models: list[str]
    load_failures: int


class Watched(Protocol):
    """Knows why the broker accepts no messages; "" if it does."""

    alarm: str


class Workers:
    """The workers, as this process reaches them. `lane` knows of the broker's alarms."""

    def __init__(self, app: Celery, lane: Watched) -> None:
        self._app = app
        self._lane = lane

    def states(self, timeout: float = 1.0) -> list[WorkerState]:
        """The state of each worker that has a model. Empty if they cannot be asked."""
        # Unread questions would pile up, and answers to a few of them are no use later.
        if self._lane.alarm:
            return []
        try:
            replies = self._app.control.broadcast(
                DESCRIBE,
                reply=True,
                timeout=timeout,
                pattern=MODEL_NODES,
                matcher="pcre",
            )
        except CONNECTION_ERRORS:
            return []
        states: list[WorkerState] = [one for reply in replies or [] for one in reply.values()]
        return [state for state in states if state["models"]]


def drained(app: Celery, nodes: Sequence[str], timeout: float) -> list[str]:
    """Let these Celery nodes take no more tasks. Return those that have done their last."""
    replies = app.control.broadcast(DRAIN, destination=list(nodes), reply=True, timeout=timeout)
    return [node for reply in replies or [] for node, said in reply.items() if "drained" in said]
