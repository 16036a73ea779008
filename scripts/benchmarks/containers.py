"""What containers cost: the service by Compose and as processes, loaded in turns."""

from __future__ import annotations

import dataclasses
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from container_engine import Engine, missing_package
from environment import say

from benchmarks import load_generator, serving, venvs
from benchmarks.load_generator import Load
from benchmarks.processes import ProcessGroup, free_port, prioritize
from benchmarks.reference import Reference
from benchmarks.systems import ROOT, RunContext, System, ours

PROCESSES, CONTAINERS = "as processes", "in containers"
LOADS = (Load(1), Load(64))
WARM_UP_SECONDS = 2
PORT = 5100
# Of the engine; others are for tests.
NUMBER = 9
COMPOSE = ["docker-compose", "--project-name=bench"]

Speeds = dict[Load, dict[str, float]]


def measure(cache: Path, model: Path, rounds: int, seconds: int, niceness: int | None) -> Speeds:
    """The median of the requests per second in each case, for each load."""
    if missing := missing_package():
        raise SystemExit(f"{missing} is missing. As root, run: apt-get install {missing}")
    reference = Reference.read(model)
    scratch = cache / "scratch" / "processes"
    shutil.rmtree(scratch, ignore_errors=True)
    venv = venvs.ensure(ours.requirements, cache, ours.peer)
    context = RunContext(free_port(), venv, model, scratch, "")
    runs: dict[Load, dict[str, list[float]]] = {
        load: {PROCESSES: [], CONTAINERS: []} for load in LOADS
    }
    with ExitStack() as stack:
        composed = stack.enter_context(_composed(reference, niceness))
        processes = ProcessGroup(
            ours.commands(context), ours.folder, ours.env(context), scratch / "output.log"
        )
        stack.callback(processes.stop)
        serving.wait_until_ready(processes, ours, context.port, reference)
        if niceness is not None:
            processes.prioritize(niceness)
        systems = [(PROCESSES, ours, context.port), (CONTAINERS, composed, PORT)]
        for _, system, port in systems:
            load_generator.run(system, port, LOADS[-1], reference, WARM_UP_SECONDS, niceness)
        for number in range(1, rounds + 1):
            for load, found in runs.items():
                for case, system, port in systems:
                    result = load_generator.run(system, port, load, reference, seconds, niceness)
                    if result.errors:
                        raise SystemExit(f"{case}: {result.errors} requests failed")
                    found[case].append(result.rps)
            say(f"Round {number} of {rounds} is done.")
    return {
        load: {case: statistics.median(rps) for case, rps in found.items()}
        for load, found in runs.items()
    }


@contextmanager
def _composed(reference: Reference, niceness: int | None) -> Iterator[System]:
    """The service by Compose, on an engine of its own."""
    folder = Path(tempfile.mkdtemp(prefix="bench-engine-", dir="/var/tmp"))
    with Engine(folder, NUMBER) as engine:
        say("Building the images ...")
        engine.import_base()
        engine.build(ROOT, "", "stackserve")
        engine.build(ROOT, "broker", "stackserve-broker")
        engine.run([*COMPOSE, "up", "--detach", "--no-build"], folder=ROOT / "production_server")
        system = dataclasses.replace(ours, host=engine.address)
        until = time.monotonic() + serving.START_SECONDS
        while not load_generator.is_ready(system, PORT, reference):
            if time.monotonic() > until:
                raise SystemExit("the containers did not start")
            time.sleep(0.2)
        if niceness is not None:
            for container in engine.docker("ps", "--quiet").split():
                first = psutil.Process(engine.inspect(container)["State"]["Pid"])
                for process in (first, *first.children(recursive=True)):
                    prioritize(process.pid, niceness)
        yield system
