"""Put load on a system with wrk, and check its predictions with a plain client."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import prioritize
from benchmarks.reference import Reference
from benchmarks.systems import Row, System

SCRIPT = Path(__file__).with_name("wrk.lua")
TOLERANCE = 1e-4
RESPONSE_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """The number of connections, and of rows in each request."""

    connections: int
    rows: int = 1


@dataclass(frozen=True)
class LoadResult:
    """The results of one wrk run."""

    rps: float
    p50_ms: float
    p99_ms: float
    errors: int


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed. As root, run: apt-get install wrk")


def run(
    system: System, port: int, load: Load, reference: Reference, seconds: int, niceness: int | None
) -> LoadResult:
    """Put load on a system for some seconds."""
    step = load.rows
    bodies = [
        system.request_body(reference.rows[i : i + step])
        for i in range(0, len(reference.rows), step)
    ]
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"stackserve-bench-{os.getpid()}.jsonl"
    file.write_bytes(b"\n".join(bodies) + b"\n")
    threads = 1 if load.connections == 1 else 2
    command = [
        "wrk",
        f"-t{threads}",
        f"-c{load.connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "-s",
        str(SCRIPT),
        system.url(port, load.rows),
    ]
    token = {"BENCH_TOKEN": system.token} if system.token else {}
    environment = {**os.environ, "BENCH_BODIES": str(file), **token}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    if niceness is not None:
        prioritize(process.pid, niceness)
    output, _ = process.communicate()
    file.unlink()
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    rps = result["requests"] / result["seconds"]
    return LoadResult(rps, result["p50_ms"], result["p99_ms"], result["errors"])


def find_errors(system: System, port: int, reference: Reference) -> str:
    """Send every row alone, then all in one request; return what is wrong, or an empty string."""
    singly: list[float] = []
    for row in reference.rows:
        singly += system.read(post(system, port, [row]))
    together = system.read(post(system, port, reference.rows))
    for way, predictions in (("one by one", singly), ("in one request", together)):
        if len(predictions) != len(reference.expected):
            return f"{len(reference.expected)} rows sent {way} got {len(predictions)} predictions"
        worst = max(abs(a - b) for a, b in zip(predictions, reference.expected, strict=True))
        if worst > TOLERANCE:
            return f"a prediction is off by {worst:.2g} when rows are sent {way}"
    return ""


def post(system: System, port: int, rows: list[Row]) -> object:
    headers = {"Content-Type": "application/json"}
    if system.token:
        headers["Authorization"] = f"Bearer {system.token}"
    url = system.url(port, len(rows))
    request = urllib.request.Request(url, system.request_body(rows), headers)
    # On this machine there is nobody in between, and wrk does not verify certificates either.
    with urllib.request.urlopen(
        request, timeout=RESPONSE_SECONDS, context=ssl._create_unverified_context()
    ) as response:
        return json.load(response)


def is_ready(system: System, port: int, reference: Reference) -> bool:
    """Whether the system answers a request with a prediction."""
    try:
        system.read(post(system, port, reference.rows[:1]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True
