"""Run every system in turn, for some rounds: start, check, load, stop."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from environment import say

from benchmarks import load_generator, venvs
from benchmarks.amqp_echo import round_trip_ms
from benchmarks.idle import Idle, measure_idle
from benchmarks.load_generator import Load, LoadResult
from benchmarks.processes import ProcessGroup, free_port
from benchmarks.reference import Reference
from benchmarks.systems import OURS, RunContext, System
from production_server.local.rabbitmq import RabbitNode

START_SECONDS = 120
SETTLE_SECONDS = 2
WARM_UP = Load(8)
WARM_UP_SECONDS = 2


@dataclass(frozen=True)
class Plan:
    """What to measure, and for how long."""

    systems: list[System]
    loads: list[Load]
    rounds: int
    seconds: int
    niceness: int | None
    cache: Path
    model: Path
    reference: Reference


@dataclass
class SystemRun:
    """The results of one system in one round."""

    system: System
    start_s: float
    memory_mb: float = 0.0
    idle: Idle | None = None
    results: dict[Load, LoadResult] = field(default_factory=dict)


@dataclass
class Measurements:
    """All results of a benchmark."""

    runs: list[SystemRun] = field(default_factory=list)
    amqp_ms: list[float] = field(default_factory=list)
    installed_mb: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def measure(plan: Plan) -> Measurements:
    measurements = Measurements()
    scratch = plan.cache / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    environments = {system.peer: _venv(system, plan.cache) for system in plan.systems}
    for name, venv in environments.items():
        measurements.installed_mb[name] = venvs.installed_mb(venv)
    node = RabbitNode(scratch / "rabbitmq")
    node.start()
    try:
        for number in range(1, plan.rounds + 1):
            measurements.amqp_ms.append(round_trip_ms(node.url, plan.seconds, plan.niceness))
            say(f"Round {number} of {plan.rounds}: raw AMQP {measurements.amqp_ms[-1]:.2f} ms")
            for system in plan.systems:
                context = RunContext(
                    free_port(),
                    environments[system.peer],
                    plan.model,
                    scratch / system.name,
                    node.url,
                )
                _try_system(plan, system, context, measurements)
    finally:
        node.stop()
    return measurements


def _venv(system: System, cache: Path) -> Path:
    return venvs.ensure(system.requirements, cache, system.peer)


def _try_system(
    plan: Plan, system: System, context: RunContext, measurements: Measurements
) -> None:
    try:
        measurements.runs.append(run_system(plan, system, context))
    except BenchError as error:
        say(f"  {system.name}: {error}")
        measurements.failures[system.name] = str(error)


class BenchError(Exception):
    """A system cannot be measured; the message says why."""


def run_system(plan: Plan, system: System, context: RunContext) -> SystemRun:
    """Start a system, check its predictions, load it and stop it."""
    context.scratch.mkdir(parents=True, exist_ok=True)
    log = context.scratch / "output.log"
    _prepare(system, context)
    started = time.monotonic()
    processes = ProcessGroup(system.commands(context), system.folder, system.env(context), log)
    try:
        wait_until_ready(processes, system, context.port, plan.reference)
        run = SystemRun(system, time.monotonic() - started)
        error = load_generator.find_errors(system, context.port, plan.reference)
        if error:
            raise BenchError(error)
        if plan.niceness is not None:
            processes.prioritize(plan.niceness)
        if system.name == OURS:
            run.idle = measure_idle(processes)
        load_generator.run(
            system, context.port, WARM_UP, plan.reference, WARM_UP_SECONDS, plan.niceness
        )
        for load in plan.loads:
            # Wait until the system has worked off what the previous load left in its queues.
            load_generator.is_ready(system, context.port, plan.reference)
            run.results[load] = load_generator.run(
                system, context.port, load, plan.reference, plan.seconds, plan.niceness
            )
        run.memory_mb = processes.memory_mb()
    finally:
        processes.stop()
    _print_summary(run)
    return run


def _prepare(system: System, context: RunContext) -> None:
    done = context.scratch / ".prepared"
    if system.prepare is None or done.exists():
        return
    command = system.prepare(context)
    step = ProcessGroup(
        [command], system.folder, system.env(context), context.scratch / "prepare.log"
    )
    if step.wait() != 0:
        raise BenchError(f"the preparation failed; see its log: {step.log}")
    done.touch()


def wait_until_ready(
    processes: ProcessGroup, system: System, port: int, reference: Reference
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not load_generator.is_ready(system, port, reference):
        if processes.any_exited() or time.monotonic() > deadline:
            raise BenchError(f"it did not start; see its log: {processes.log}")
        processes.tree()
        time.sleep(0.1)


def _print_summary(run: SystemRun) -> None:
    results = ", ".join(
        f"{load.connections}{'' if load.rows == 1 else f' x{load.rows} rows'}: {result.rps:.0f}/s "
        f"p50 {result.p50_ms:.2f} ms" + (f" {result.errors} errors" if result.errors else "")
        for load, result in run.results.items()
    )
    say(f"  {run.system.name}: started in {run.start_s:.1f} s; {results}")
