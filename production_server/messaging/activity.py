"""What the workers do, as they say themselves.

A worker VM is not trusted: its figures are checked for their form and limits, and can still be
wrong. Anonymous clients never get them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from celery import Celery
from pydantic import Field, TypeAdapter, ValidationError

from production_server.messaging.workers import MODEL_NODES

ACTIVITY = "stackserve_activity"
# Averages are over this many seconds.
WINDOW = 10

Rate = Annotated[float, Field(ge=0, le=1e6)]
Version = Annotated[str, Field(max_length=80)]


@dataclass(frozen=True)
class WorkerActivity:
    """What one worker process has done."""

    models: Annotated[list[Version], Field(max_length=16)]
    tasks: Annotated[int, Field(ge=0, lt=1 << 53)]  # since the process started
    tasks_per_second: Rate
    chunks_per_second: Rate
    busy: Annotated[float, Field(ge=0, le=1)]  # the share of the time that it spent in tasks


_FORMAT = TypeAdapter(WorkerActivity)
NODE = re.compile(r"[A-Za-z0-9._-]{1,100}@[A-Za-z0-9._-]{1,100}")
# Processes on a server have more in their names; see messaging/celery_worker.py.
NODE_ON_VM = re.compile(r"worker\d+@([a-z0-9-]+)")


def vm_of(node: str) -> str | None:
    """The worker VM of a Celery node; None for one on the server itself."""
    match = NODE_ON_VM.fullmatch(node)
    return match[1] if match else None


def activities(app: Celery, processes: int, timeout: float) -> dict[str, WorkerActivity]:
    """What each Celery node has done. Waits until this many answer, or none does for `timeout`."""
    if not processes:
        return {}
    replies = app.control.broadcast(
        ACTIVITY,
        reply=True,
        timeout=timeout,
        limit=processes,
        pattern=MODEL_NODES,
        matcher="pcre",
    )
    return valid(replies or [])


def valid(replies: list[object]) -> dict[str, WorkerActivity]:
    """The replies that have the right form, by node."""
    found = {}
    for reply in replies:
        for node, said in reply.items() if isinstance(reply, dict) else ():
            try:
                if isinstance(node, str) and NODE.fullmatch(node):
                    found[node] = _FORMAT.validate_python(said)
            except ValidationError:
                continue
    return found
