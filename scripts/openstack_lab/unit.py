"""What the supervisor runs: daemons with a health check, and tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

CheckKind = Literal["none", "tcp", "http", "path", "consumer"]


@dataclass(frozen=True)
class Check:
    """When a daemon is ready: it runs, its port answers, its path exists, its queue is consumed."""

    kind: CheckKind = "none"
    # host:port, host:port/path, a file, or the name of a queue.
    target: str = ""
    # The broker of the queue: host:port user password.
    queue: str = ""


@dataclass(frozen=True)
class Step:
    """One command of a task, and the exit codes that mean success."""

    command: tuple[str, ...]
    accept: tuple[int, ...] = (0,)
    # Seconds. A loaded two-core machine needs minutes for what takes seconds on an idle one.
    timeout: float = 240


@dataclass(frozen=True)
class Unit:
    """A task, if it has steps, or a daemon, if it has a command."""

    name: str
    title: str
    command: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    # Run before the steps until the task has succeeded once: they remove what an interrupted
    # first run left behind.
    reset: tuple[Step, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    requires: tuple[str, ...] = ()
    check: Check = field(default_factory=Check)
    # Seconds that a daemon has to become ready.
    timeout: float = 240
    # Seconds between SIGTERM and SIGKILL. Daemons that keep data need more.
    patience: float = 3
    # A task that never runs again after it has succeeded, even if its declaration changes.
    only_once: bool = False
    # A task that runs at each start of the lab (bridges), not only at the first one (schemas).
    each_start: bool = False
    # Units in which this daemon sets things up. It restarts after they do.
    tied_to: tuple[str, ...] = ()
    # Fingerprint of the config files that it reads. A change restarts the unit.
    config: str = ""

    @property
    def is_task(self) -> bool:
        return bool(self.steps)

    @property
    def keeps_data(self) -> bool:
        """Whether it stops last, after the daemons that write to it."""
        return self.patience > 3

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def to_json(units: Iterable[Unit]) -> str:
    return json.dumps([asdict(unit) for unit in units], indent=1)


def from_json(text: str) -> list[Unit]:
    return [_from_dict(item) for item in json.loads(text)]


def _from_dict(item: dict[str, Any]) -> Unit:
    return Unit(
        **{
            **item,
            "command": tuple(item["command"]),
            "requires": tuple(item["requires"]),
            "tied_to": tuple(item["tied_to"]),
            "steps": _steps(item["steps"]),
            "reset": _steps(item["reset"]),
            "check": Check(**item["check"]),
        }
    )


def _steps(items: list[dict[str, Any]]) -> tuple[Step, ...]:
    return tuple(
        Step(tuple(item["command"]), tuple(item["accept"]), item["timeout"]) for item in items
    )


def in_order(units: Iterable[Unit]) -> list[Unit]:
    """Sort units so that each comes after those that it requires."""
    known = {unit.name: unit for unit in units}
    ordered: list[Unit] = []
    open_names: list[str] = []

    def visit(name: str) -> None:
        if name in open_names:
            raise ValueError(f"units require each other: {' -> '.join([*open_names, name])}")
        if known[name] in ordered:
            return
        open_names.append(name)
        for needed in known[name].requires:
            if needed not in known:
                raise ValueError(f"{name} requires {needed}, which is not declared")
            visit(needed)
        open_names.pop()
        ordered.append(known[name])

    for name in known:
        visit(name)
    return ordered


def dependents(name: str, units: Iterable[Unit]) -> set[str]:
    """Every unit that needs `name`, directly or not."""
    units = list(units)
    found: set[str] = set()
    wave = {name}
    while wave:
        wave = {unit.name for unit in units if wave & set(unit.requires)} - found
        found |= wave
    return found
