"""Rounds over all systems: each in turn is started, checked, loaded and stopped."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from environment import say

from benchmarks import environments, load
from benchmarks.amqp_echo import round_trip_ms
from benchmarks.idle import Idle, watch
from benchmarks.load import Cell, Seen
from benchmarks.processes import Running, free_port
from benchmarks.reference import Reference
from benchmarks.systems import OURS, Place, System
from production_server.local.rabbitmq import RabbitNode

START_SECONDS = 120
SETTLE_SECONDS = 2
WARM_UP = Cell(8)
WARM_UP_SECONDS = 2


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and how long."""

    systems: list[System]
    cells: list[Cell]
    rounds: int
    seconds: int
    niceness: int | None
    cache: Path
    model: Path
    reference: Reference


@dataclass
class Visit:
    """One round of one system."""

    system: System
    start_s: float
    memory_mb: float = 0.0
    idle: Idle | None = None
    seen: dict[Cell, Seen] = field(default_factory=dict)


@dataclass
class Measured:
    """Everything that was seen."""

    visits: list[Visit] = field(default_factory=list)
    amqp_ms: list[float] = field(default_factory=list)
    installed_mb: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def measure(plan: Plan) -> Measured:
    measured = Measured()
    scratch = plan.cache / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    venvs = {system.peer: _venv(system, plan.cache) for system in plan.systems}
    for name, venv in venvs.items():
        measured.installed_mb[name] = environments.installed_mb(venv)
    node = RabbitNode(scratch / "rabbitmq")
    node.start()
    try:
        for number in range(1, plan.rounds + 1):
            measured.amqp_ms.append(round_trip_ms(node.url, plan.seconds, plan.niceness))
            say(f"Round {number} of {plan.rounds}: raw AMQP {measured.amqp_ms[-1]:.2f} ms")
            for system in plan.systems:
                place = Place(
                    free_port(), venvs[system.peer], plan.model, scratch / system.name, node.url
                )
                _visit(plan, system, place, measured)
    finally:
        node.stop()
    return measured


def _venv(system: System, cache: Path) -> Path:
    return environments.ensure(system.requirements, cache, system.peer)


def _visit(plan: Plan, system: System, place: Place, measured: Measured) -> None:
    try:
        measured.visits.append(visit(plan, system, place))
    except BenchError as error:
        say(f"  {system.name}: {error}")
        measured.failures[system.name] = str(error)


class BenchError(Exception):
    """A system that cannot be measured, and why."""


def visit(plan: Plan, system: System, place: Place) -> Visit:
    """Start, check, load, stop."""
    place.scratch.mkdir(parents=True, exist_ok=True)
    log = place.scratch / "output.log"
    _prepare(system, place)
    began = time.monotonic()
    running = Running(system.commands(place), system.folder, system.env(place), log)
    try:
        _wait(running, system, place.port, plan.reference)
        found = Visit(system, time.monotonic() - began)
        wrong = load.wrong_answers(system, place.port, plan.reference)
        if wrong:
            raise BenchError(f"{wrong}; not measured")
        if plan.niceness is not None:
            running.prioritize(plan.niceness)
        if system.name == OURS:
            found.idle = watch(running)
        load.run(system, place.port, WARM_UP, plan.reference, WARM_UP_SECONDS, plan.niceness)
        for cell in plan.cells:
            # What the load before left in the system's queues is not this one's.
            load.answers(system, place.port, plan.reference)
            found.seen[cell] = load.run(
                system, place.port, cell, plan.reference, plan.seconds, plan.niceness
            )
        found.memory_mb = running.memory_mb()
    finally:
        running.stop()
    _tell(found)
    return found


def _prepare(system: System, place: Place) -> None:
    done = place.scratch / ".prepared"
    if system.prepare is None or done.exists():
        return
    command = system.prepare(place)
    step = Running([command], system.folder, system.env(place), place.scratch / "prepare.log")
    if step.wait() != 0:
        raise BenchError(f"its preparation failed; its log: {step.log}")
    done.touch()


def _wait(running: Running, system: System, port: int, reference: Reference) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not load.answers(system, port, reference):
        if running.ended() or time.monotonic() > give_up:
            raise BenchError(f"it did not start; its log: {running.log}")
        running.tree()
        time.sleep(0.1)


def _tell(found: Visit) -> None:
    cells = ", ".join(
        f"{cell.connections}{'' if cell.rows == 1 else f' x{cell.rows} rows'}: {seen.rps:.0f}/s "
        f"p50 {seen.p50_ms:.2f} ms" + (f" {seen.errors} errors" if seen.errors else "")
        for cell, seen in found.seen.items()
    )
    say(f"  {found.system.name}: started in {found.start_s:.1f} s; {cells}")
