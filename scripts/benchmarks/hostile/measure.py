"""Start the service, and measure the steady load with and without each attack.

Rounds without and with an attack alternate, and each side's percentiles are those of all its
rounds, so a single slow moment of the machine does not decide a ratio.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from environment import say

from benchmarks import load_generator
from benchmarks.hostile.steady import Latencies
from benchmarks.jobs import write_table
from benchmarks.processes import ProcessGroup, free_port
from benchmarks.reference import Reference
from benchmarks.systems import ROOT, ours

START_SECONDS = 120
# The attack begins before the measured load, and ends after it.
LEAD_SECONDS = 1.0
SETTLE_SECONDS = 2.0
WARM_UP_SECONDS = 3
# An attack is stopped after the load. If this program dies, it ends by itself, so much later.
SPARE_SECONDS = 30
RESULT_ROWS = 300_000


@dataclass(frozen=True)
class Plan:
    attacks: list[str]
    seconds: int
    rounds: int
    scratch: Path
    reference: Reference


@dataclass
class Service:
    """The running service, with one web process, so that every attack hits the measured one."""

    port: int
    web: psutil.Process
    result: str


@dataclass
class Peak:
    """The largest memory of a process while it is watched."""

    process: psutil.Process
    bytes: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.done.wait(0.02):
            self.bytes = max(self.bytes, self.process.memory_info().rss)


@contextmanager
def watched(process: psutil.Process) -> Iterator[Peak]:
    peak = Peak(process)
    thread = threading.Thread(target=peak.watch)
    thread.start()
    try:
        yield peak
    finally:
        peak.done.set()
        thread.join()


def measure(plan: Plan) -> list[dict[str, Any]]:
    """One row for each attack."""
    shutil.rmtree(plan.scratch, ignore_errors=True)
    plan.scratch.mkdir(parents=True)
    rows_file = plan.scratch / "rows.jsonl"
    rows_file.write_bytes(b"\n".join(json.dumps(row).encode() for row in plan.reference.rows))
    with running(plan) as service:
        steady(service.port, WARM_UP_SECONDS, rows_file)
        return [_row(name, service, plan, rows_file) for name in plan.attacks]


@contextmanager
def running(plan: Plan) -> Iterator[Service]:
    port = free_port()
    command = [sys.executable, "-m", "production_server", "serve", "--services"]
    settings = {
        "STACKSERVE_HOME": str(plan.scratch / "home"),
        "STACKSERVE_WEB_PROCESSES": "1",
    }
    log = plan.scratch / "output.log"
    processes = ProcessGroup([[*command, "--port", str(port)]], ROOT, settings, log)
    try:
        give_up = time.monotonic() + START_SECONDS
        while not load_generator.is_ready(ours, port, plan.reference):
            if processes.any_exited() or time.monotonic() > give_up:
                raise SystemExit(f"The service did not start. Its log: {log}")
            time.sleep(0.1)
        yield Service(port, web_process(processes), large_result(port, plan.scratch))
    finally:
        processes.stop()


def web_process(processes: ProcessGroup) -> psutil.Process:
    """The process that answers: it was forked from the one that was started as `web`."""
    webs = [process for process in processes.tree() if "web" in process.cmdline()]
    parents = {process.ppid() for process in webs}
    return next(process for process in webs if process.pid not in parents)


def large_result(port: int, scratch: Path) -> str:
    """Run a large job; return the address of its result."""
    table = scratch / "rows.csv"
    write_table(table, RESULT_ROWS)
    job = _curl(port, "/jobs", "-H", "Content-Type: text/csv", "--data-binary", f"@{table}")
    while job["state"] in ("queued", "running"):
        time.sleep(0.2)
        job = _curl(port, f"/jobs/{job['id']}")
    if job["state"] != "done":
        raise SystemExit(f"the job is {job['state']}")
    return f"/jobs/{job['id']}/result"


def _curl(port: int, path: str, *arguments: str) -> dict[str, Any]:
    command = ["curl", "-sS", *arguments, f"http://127.0.0.1:{port}{path}"]
    answer: dict[str, Any] = json.loads(subprocess.check_output(command))
    return answer


def _row(name: str, service: Service, plan: Plan, rows: Path) -> dict[str, Any]:
    alone, attacked = Latencies(), Latencies()
    peak = 0
    for _ in range(plan.rounds):
        alone.add(steady(service.port, plan.seconds, rows))
        with attacking(name, service, plan.seconds), watched(service.web) as seen:
            attacked.add(steady(service.port, plan.seconds, rows))
        peak = max(peak, seen.bytes)
        time.sleep(SETTLE_SECONDS)
    row = row_of(name, alone, attacked, peak)
    say(f"{name}: p99 {row['p99_ms']} ms, attacked {row['attacked_p99_ms']} ms")
    return row


def row_of(name: str, alone: Latencies, attacked: Latencies, peak: int) -> dict[str, Any]:
    usual, worse = alone.report(), attacked.report()
    return {
        "attack": name,
        "p99_ms": usual["p99_ms"],
        "attacked_p99_ms": worse["p99_ms"],
        "attacked_max_ms": worse["max_ms"],
        "ratio": round(worse["p99_ms"] / usual["p99_ms"], 2),
        "errors": alone.errors + attacked.errors,
        "peak_mb": round(peak / 1e6),
    }


@contextmanager
def attacking(name: str, service: Service, seconds: int) -> Iterator[None]:
    """Let an attack go on, which has begun already."""
    limit = seconds + SPARE_SECONDS
    program = _program("attacks", name, str(service.port), str(limit), service.result)
    try:
        assert program.stdout
        program.stdout.readline()
        time.sleep(LEAD_SECONDS)
        yield
        if program.poll() is not None:
            raise SystemExit(f"the attack ended too early: {name}")
    finally:
        program.terminate()
        program.communicate()


def steady(port: int, seconds: int, rows: Path) -> Latencies:
    output, _ = _program("steady", str(port), str(seconds), str(rows)).communicate()
    return Latencies(**json.loads(output))


def _program(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"benchmarks.hostile.{module}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE)
