"""What a token costs: the same service, once open and once with tokens only, loaded in turns."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
from contextlib import ExitStack
from pathlib import Path

from environment import say

from benchmarks import load_generator, serving, venvs
from benchmarks.load_generator import Load
from benchmarks.processes import ProcessGroup, free_port
from benchmarks.reference import Reference
from benchmarks.systems import RunContext, System, ours
from production_server.access.policy import Preset, Scope
from production_server.access.tokens import Tokens

PRESETS = (Preset.OPEN, Preset.TOKEN)
LOAD = Load(64)
WARM_UP_SECONDS = 2


def measure(
    cache: Path, model: Path, rounds: int, seconds: int, niceness: int | None
) -> dict[str, float]:
    """The median of the requests per second with each preset."""
    reference = Reference.read(model)
    venv = venvs.ensure(ours.requirements, cache, ours.peer)
    found: dict[Preset, list[float]] = {preset: [] for preset in PRESETS}
    with ExitStack() as stack:
        running = []
        for preset in PRESETS:
            scratch = cache / "scratch" / f"access-{preset}"
            shutil.rmtree(scratch, ignore_errors=True)
            context = RunContext(free_port(), venv, model, scratch, "")
            system = with_access(preset, scratch / "home")
            processes = ProcessGroup(
                system.commands(context), system.folder, system.env(context), scratch / "output.log"
            )
            stack.callback(processes.stop)
            serving.wait_until_ready(processes, system, context.port, reference)
            if niceness is not None:
                processes.prioritize(niceness)
            load_generator.run(system, context.port, LOAD, reference, WARM_UP_SECONDS, niceness)
            running.append((preset, system, context.port))
        for number in range(1, rounds + 1):
            for preset, system, port in running:
                result = load_generator.run(system, port, LOAD, reference, seconds, niceness)
                if result.errors:
                    raise SystemExit(f"{preset}: {result.errors} requests failed")
                found[preset].append(result.rps)
            told = ", ".join(f"{preset} {rps[-1]:,.0f}/s" for preset, rps in found.items())
            say(f"Round {number} of {rounds}: {told}")
    return {preset.value: statistics.median(rps) for preset, rps in found.items()}


def with_access(preset: Preset, home: Path) -> System:
    """Our service with a preset, and the token that its clients need."""
    needs_token = preset is not Preset.OPEN
    tokens = Tokens(home / "access")
    token = tokens.create("bench", frozenset({Scope.PREDICT}), None) if needs_token else ""
    return dataclasses.replace(ours, extra={"STACKSERVE_ACCESS": preset.value}, token=token)
