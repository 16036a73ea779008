"""Measure one large job: a CSV through POST /jobs, compared with Keras in process."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from environment import say

from benchmarks import load_generator, venvs
from benchmarks.processes import ProcessGroup, free_port
from benchmarks.reference import KERAS_FILE, SHIPPED, Reference
from benchmarks.systems import OURS, ROOT, RunContext, ours
from production_server.model.cohort import sample
from production_server.model.registry import Registry

POLL_SECONDS = 0.02
JOB_SECONDS = 300
SEED = 4
START_SECONDS = 120


def measure(rows: int, rounds: int, cache: Path, model: Path, nice: int | None) -> dict[str, Any]:
    """Measure both in turn, for some rounds, and report the medians."""
    scratch = cache / "scratch" / "jobs"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    table = scratch / "rows.csv"
    write_table(table, rows)
    venv = venvs.ensure(ours.requirements, cache, OURS)
    context = RunContext(free_port(), venv, model, scratch, "")
    processes = ProcessGroup(
        ours.commands(context), ours.folder, ours.env(context), scratch / "output.log"
    )
    rounds_s: list[dict[str, float]] = []
    try:
        _wait_until_ready(processes, context.port, Reference.read(model))
        if nice is not None:
            processes.prioritize(nice)
        for number in range(1, rounds + 1):
            keras = predict_in_process(model / KERAS_FILE, table)
            rounds_s.append({**keras, **run_job(context.port, table, rows)})
            summary = ", ".join(f"{name} {value:.2f} s" for name, value in rounds_s[-1].items())
            say(f"Round {number} of {rounds}: {summary}")
    finally:
        processes.stop()
    return report(rounds_s, rows)


def report(rounds_s: list[dict[str, float]], rows: int) -> dict[str, Any]:
    """Median rows per second of the job and of Keras, and the ratio to each Keras figure."""
    speed = {
        name: round(rows / statistics.median(seconds[name] for seconds in rounds_s))
        for name in ("job_s", "batch_4096", "batch_32")
    }
    reading = statistics.median(seconds["read_s"] + seconds["batch_32"] for seconds in rounds_s)
    speed["read_and_batch_32"] = round(rows / reading)
    job = speed.pop("job_s")
    return {
        "rows": rows,
        "job_rows_per_s": job,
        "upload_s": round(statistics.median(seconds["upload_s"] for seconds in rounds_s), 2),
        "result_s": round(statistics.median(seconds["result_s"] for seconds in rounds_s), 2),
        "keras_rows_per_s": speed,
        "ratios": {name: round(job / other, 2) for name, other in speed.items()},
    }


def write_table(path: Path, rows: int) -> None:
    """Write synthetic rows, drawn like the cohort of the model card."""
    registry = Registry(SHIPPED)
    drawn = [row for row, _ in sample(registry.card(registry.versions()[0]), 1000, SEED)]
    indices = np.random.default_rng(SEED).integers(0, len(drawn), rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(drawn[0]))
        writer.writeheader()
        writer.writerows(drawn[index] for index in indices)


def predict_in_process(model: Path, table: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.keras_baseline", str(model), str(table)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def run_job(port: int, table: Path, rows: int) -> dict[str, float]:
    """Seconds until a job is accepted, until it is done, and to fetch its result."""
    job, seconds = finish_job(port, table)
    done = time.perf_counter()
    check_result(port, job, rows)
    return {**seconds, "result_s": time.perf_counter() - done}


def finish_job(
    port: int, table: Path, poll: float = POLL_SECONDS
) -> tuple[dict[str, Any], dict[str, float]]:
    """Send a job and wait for its end: the job, and seconds until it is accepted and done."""
    started = time.perf_counter()
    with table.open("rb") as body:
        job = _request(port, "/jobs", body.read())
    uploaded = time.perf_counter() - started
    while (job := _request(port, f"/jobs/{job['id']}"))["state"] != "done":
        if job["state"] in ("failed", "cancelled") or time.perf_counter() - started > JOB_SECONDS:
            elapsed = time.perf_counter() - started
            raise SystemExit(f"The job is {job['state']} after {elapsed:.0f} s: {job}")
        time.sleep(poll)
    return job, {"upload_s": uploaded, "job_s": time.perf_counter() - started}


def check_result(port: int, job: dict[str, Any], rows: int) -> None:
    """Fetch the result and count its lines."""
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/jobs/{job['id']}/result?format=csv"
    ) as response:
        lines = sum(1 for _ in response)
    if lines != rows + 1:
        raise SystemExit(f"The result has {lines} lines instead of {rows + 1}.")


def _request(port: int, path: str, body: bytes | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "text/csv"} if body is not None else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=JOB_SECONDS) as response:
        document: dict[str, Any] = json.load(response)
    return document


def _wait_until_ready(processes: ProcessGroup, port: int, reference: Reference) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not load_generator.is_ready(ours, port, reference):
        if processes.any_exited() or time.monotonic() > deadline:
            raise SystemExit(f"The service did not start; see its log: {processes.log}")
        time.sleep(0.1)
