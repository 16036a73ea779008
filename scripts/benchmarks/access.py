"""What tokens and TLS cost: the same service open, with tokens, and with both, loaded in turns."""

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

OPEN, TOKEN, TLS = "open", "token", "token and TLS"
LOAD = Load(64)
WARM_UP_SECONDS = 2


def measure(
    cache: Path, model: Path, rounds: int, seconds: int, niceness: int | None
) -> dict[str, float]:
    """The median of the requests per second in each case."""
    reference = Reference.read(model)
    venv = venvs.ensure(ours.requirements, cache, ours.peer)
    found: dict[str, list[float]] = {case: [] for case in (OPEN, TOKEN, TLS)}
    with ExitStack() as stack:
        running = []
        for case in found:
            scratch = cache / "scratch" / f"access-{case.replace(' ', '-')}"
            shutil.rmtree(scratch, ignore_errors=True)
            context = RunContext(free_port(), venv, model, scratch, "")
            system = with_access(case, scratch / "home")
            processes = ProcessGroup(
                system.commands(context), system.folder, system.env(context), scratch / "output.log"
            )
            stack.callback(processes.stop)
            serving.wait_until_ready(processes, system, context.port, reference)
            if niceness is not None:
                processes.prioritize(niceness)
            load_generator.run(system, context.port, LOAD, reference, WARM_UP_SECONDS, niceness)
            running.append((case, system, context.port))
        for number in range(1, rounds + 1):
            for case, system, port in running:
                result = load_generator.run(system, port, LOAD, reference, seconds, niceness)
                if result.errors:
                    raise SystemExit(f"{case}: {result.errors} requests failed")
                found[case].append(result.rps)
            told = ", ".join(f"{case} {rps[-1]:,.0f}/s" for case, rps in found.items())
            say(f"Round {number} of {rounds}: {told}")
    return {case: statistics.median(rps) for case, rps in found.items()}


def with_access(case: str, home: Path) -> System:
    """Our service as in this case, and the token that its clients need."""
    if case == OPEN:
        return ours
    token = Tokens(home / "access").create("bench", frozenset({Scope.PREDICT}), None)
    extra = {"STACKSERVE_ACCESS": Preset.TOKEN.value}
    with_token = dataclasses.replace(ours, extra=extra, token=token)
    if case == TOKEN:
        return with_token
    return dataclasses.replace(with_token, commands=_with_tls, scheme="https")


def _with_tls(context: RunContext) -> list[list[str]]:
    return [[*command, "--tls", "self"] for command in ours.commands(context)]
