"""The workers as the operations page shows them.

A worker VM is not trusted: what it says is cut to a size, and checked for its form.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from production_server.messaging.activity import NODE, WorkerActivity, vm_of
from production_server.messaging.workers import WorkerState

MOST_WORKERS = 200
MOST_VERSIONS = 16
LONGEST = 120


@dataclass(frozen=True)
class Worker:
    """One worker process."""

    node: str
    place: str
    takes_tasks: bool
    versions: list[str]
    lacks: str
    """A version that it cannot get, and why."""
    busy: float | None
    tasks_per_second: float | None


def workers_of(
    states: Mapping[str, WorkerState], done: Mapping[str, WorkerActivity]
) -> list[Worker]:
    """The processes that answered, by name."""
    nodes = sorted(node for node in states if isinstance(node, str) and NODE.fullmatch(node))
    return [_worker(node, states[node], done.get(node)) for node in nodes[:MOST_WORKERS]]


def _worker(node: str, state: WorkerState, done: WorkerActivity | None) -> Worker:
    missing = state.get("missing")
    lacking = missing.items() if isinstance(missing, dict) else ()
    models = state["models"]
    names = models if isinstance(models, list) else []
    return Worker(
        node=node,
        place=vm_of(node) or "server",
        takes_tasks=bool(state.get("taking_tasks", True)),
        versions=[str(name)[:80] for name in itertools.islice(names, MOST_VERSIONS)],
        lacks="; ".join(f"{version}: {why}"[:LONGEST] for version, why in list(lacking)[:3]),
        busy=None if done is None else done.busy,
        tasks_per_second=None if done is None else done.tasks_per_second,
    )
