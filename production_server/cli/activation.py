"""Follows an activation until the workers have loaded the version, and names those that cannot."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from production_server.settings import Settings

if TYPE_CHECKING:
    from production_server.messaging.workers import WorkerState

# The web tier waits this long, too, before it goes on without a worker VM.
PATIENCE = 60.0
PAUSE = 0.5


class NoAlarm:
    """This process does not follow the broker's alarms."""

    alarm = ""


def follow(settings: Settings, version: str, say: Callable[[str], None]) -> None:
    """Say which workers have loaded the version, if this service has processes to ask."""
    if settings.embedded:
        return
    from production_server.messaging.app import create_app
    from production_server.messaging.workers import Workers

    workers = Workers(create_app(settings, confirm_publish=False), NoAlarm())
    until = time.monotonic() + PATIENCE
    states = workers.states(wanted=version)
    if not states:
        say("No worker answers. They load it when they start.")
        return
    while waiting(states, version) and time.monotonic() < until:
        time.sleep(PAUSE)
        states = workers.states(wanted=version) or states
    for line in report(states, version):
        say(line)


def waiting(states: list[WorkerState], version: str) -> bool:
    """Whether a worker may still load the version."""
    return any(
        version not in state["models"] and version not in state.get("missing", {})
        for state in states
    )


def report(states: list[WorkerState], version: str) -> list[str]:
    """How many workers have the version, and what is wrong with each of the others."""
    have = sum(version in state["models"] for state in states)
    lines = [f"{have} of {len(states)} worker processes have loaded it."]
    for state in states:
        if version in state["models"]:
            continue
        vm = state.get("vm")
        who = f"Worker VM {vm}" if vm else "A worker on this server"
        why = state.get("missing", {}).get(version, "not yet")
        lines.append(f"{who} has not: {why}")
    if have == 0:
        lines.append("The previous version stays in use until a worker has loaded it.")
    elif have < len(states) and all(
        state.get("vm") for state in states if version not in state["models"]
    ):
        lines.append("They take no tasks until they have it. They keep trying.")
    return list(dict.fromkeys(lines))
