"""Questions to all workers, over the queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol, TypedDict

from celery import Celery

from production_server.messaging.link import CONNECTION_ERRORS

DESCRIBE = "stackserve_describe"
DRAIN = "stackserve_drain"
DESCRIBE_SECONDS = 2.0
# The Celery nodes that have this command; the recorder has not.
MODEL_NODES = "^(worker|embedded)"


class WorkerState(TypedDict):
    """What a worker says about itself: its loaded versions, and how often loading one failed.

    `missing` tells why it cannot get a version. `vm` is the name of its worker VM, if it is on one.
    """

    models: list[str]
    load_failures: int
    vm: str | None
    taking_tasks: bool
    missing: dict[str, str]


class Step(Enum):
    """What to do next about a version that became active."""

    WAIT = "wait for the workers"
    LEAVE = "let worker VMs that lack it take no tasks"
    SWITCH = "use it"


class Watched(Protocol):
    """Knows why the broker accepts no messages; "" if it does."""

    alarm: str


class Workers:
    """The workers, as this process reaches them. `lane` knows of the broker's alarms."""

    def __init__(self, app: Celery, lane: Watched) -> None:
        self._app = app
        self._lane = lane

    def states(
        self, timeout: float = 1.0, *, wanted: str = "", leave: bool = False
    ) -> list[WorkerState]:
        """The state of each worker that has a model. Empty if they cannot be asked.

        Tells them that `wanted` is the version to get. With `leave`, a worker VM that does not have
        it takes no more tasks until it has.
        """
        arguments = {"wanted": wanted, "leave": leave} if wanted else {}
        return list(self.by_node(timeout, arguments).values())

    def by_node(
        self, timeout: float, arguments: Mapping[str, object] | None = None
    ) -> dict[str, WorkerState]:
        """The same, by the name of the Celery node."""
        # Unread questions would pile up, and answers to a few of them are no use later.
        if self._lane.alarm:
            return {}
        try:
            replies = self._app.control.broadcast(
                DESCRIBE,
                arguments=arguments or {},
                reply=True,
                timeout=timeout,
                pattern=MODEL_NODES,
                matcher="pcre",
            )
        except CONNECTION_ERRORS:
            return {}
        states: dict[str, WorkerState] = {}
        for reply in replies or []:
            states |= reply
        # A worker of an older release answers with an error to arguments that it does not know.
        return {node: state for node, state in states.items() if state.get("models")}


def next_step(states: Sequence[WorkerState], version: str, *, wait: bool) -> Step:
    """Decide how to go on to a version from what the workers say about themselves.

    A worker VM that cannot get it does not hold up the others, nor, without `wait`, one that is
    slow. It has to leave before tasks of that version are sent. A version that no worker has loaded
    is never used.
    """
    taking = [state for state in states if state.get("taking_tasks", True)]
    lacking = [state for state in taking if version not in state["models"]]
    if len(lacking) == len(taking):
        return Step.WAIT
    if not lacking:
        return Step.SWITCH
    may_leave = all(
        state.get("vm") and (version in state["missing"] or not wait) for state in lacking
    )
    return Step.LEAVE if may_leave else Step.WAIT


def cannot_get(states: Sequence[WorkerState], version: str) -> bool:
    """Whether a worker has tried to get or load this version, and failed."""
    return any(version in state.get("missing", {}) for state in states)


def drained(app: Celery, nodes: Sequence[str], timeout: float) -> list[str]:
    """Let these Celery nodes take no more tasks. Return those that have done their last."""
    replies = app.control.broadcast(DRAIN, destination=list(nodes), reply=True, timeout=timeout)
    return [node for reply in replies or [] for node, said in reply.items() if "drained" in said]


def described(app: Celery, nodes: Sequence[str]) -> list[WorkerState]:
    """The states of these Celery nodes, of those that answer in time."""
    replies = app.control.broadcast(
        DESCRIBE, destination=list(nodes), reply=True, timeout=DESCRIBE_SECONDS, limit=len(nodes)
    )
    states: list[WorkerState] = [one for reply in replies or [] for one in reply.values()]
    return [state for state in states if "taking_tasks" in state]
