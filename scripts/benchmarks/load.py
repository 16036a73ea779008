"""The load: wrk, a compiled generator, and a plain client that checks answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import prioritize
from benchmarks.reference import Reference
from benchmarks.systems import System

SCRIPT = Path(__file__).with_name("load.lua")
TOLERANCE = 1e-4
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Cell:
    """One kind of load."""

    connections: int
    rows: int = 1


@dataclass(frozen=True)
class Seen:
    """What wrk saw in one go."""

    rps: float
    p50_ms: float
    p99_ms: float
    errors: int


def ensure_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed; as root: apt-get install wrk")


def run(
    system: System, port: int, cell: Cell, reference: Reference, seconds: int, niceness: int | None
) -> Seen:
    """Load a system for some seconds."""
    step = cell.rows
    bodies = [system.ask(reference.rows[i : i + step]) for i in range(0, len(reference.rows), step)]
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"stackserve-bench-{os.getpid()}.jsonl"
    file.write_bytes(b"\n".join(bodies) + b"\n")
    threads = 1 if cell.connections == 1 else 2
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{cell.connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(SCRIPT),
        f"http://127.0.0.1:{port}{system.route(cell.rows)}",
    ]
    process = subprocess.Popen(
        command, env={**os.environ, "BENCH_BODIES": str(file)}, stdout=subprocess.PIPE, text=True
    )
    if niceness is not None:
        prioritize(process.pid, niceness)
    output, _ = process.communicate()
    file.unlink()
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    seen = json.loads(line.removeprefix("RESULT "))
    rps = seen["requests"] / seen["seconds"]
    return Seen(rps, seen["p50_ms"], seen["p99_ms"], seen["errors"])


def wrong_answers(system: System, port: int, reference: Reference) -> str:
    """What is wrong with the answers to every row alone and to all at once; "" when nothing is."""
    singly: list[float] = []
    for row in reference.rows:
        singly += system.read(post(port, system.route(1), system.ask([row])))
    together = system.read(post(port, system.route(2), system.ask(reference.rows)))
    for way, answers in (("singly", singly), ("together", together)):
        if len(answers) != len(reference.expected):
            return f"{len(answers)} answers to {len(reference.expected)} rows asked {way}"
        worst = max(abs(a - b) for a, b in zip(answers, reference.expected, strict=True))
        if worst > TOLERANCE:
            return f"an answer is off by {worst:.2g} when asked {way}"
    return ""


def post(port: int, path: str, body: bytes) -> object:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def answers(system: System, port: int, reference: Reference) -> bool:
    """Whether it gives an answer already."""
    try:
        system.read(post(port, system.route(1), system.ask(reference.rows[:1])))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True
