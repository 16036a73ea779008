"""One large job: a CSV through POST /jobs, against Keras in process on the same rows."""

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

from benchmarks import environments, load
from benchmarks.processes import Running, free_port
from benchmarks.reference import KERAS_FILE, SHIPPED, Reference
from benchmarks.systems import OURS, ROOT, Place, ours
from production_server.model.cohort import sample
from production_server.model.registry import Registry

POLL_SECONDS = 0.02
JOB_SECONDS = 300
SEED = 4
START_SECONDS = 120


def measure(rows: int, rounds: int, cache: Path, model: Path, nice: int | None) -> dict[str, Any]:
    """Rounds of both, in turn; medians."""
    scratch = cache / "scratch" / "jobs"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    table = scratch / "rows.csv"
    write_table(table, rows)
    venv = environments.ensure(ours.requirements, cache, OURS)
    place = Place(free_port(), venv, model, scratch, "")
    running = Running(ours.commands(place), ours.folder, ours.env(place), scratch / "output.log")
    seen: list[dict[str, float]] = []
    try:
        _wait(running, place.port, Reference.read(model))
        if nice is not None:
            running.prioritize(nice)
        for number in range(1, rounds + 1):
            keras = in_process(model / KERAS_FILE, table)
            seen.append({**keras, **one_job(place.port, table, rows)})
            told = ", ".join(f"{name} {value:.2f} s" for name, value in seen[-1].items())
            say(f"Round {number} of {rounds}: {told}")
    finally:
        running.stop()
    return report(seen, rows)


def report(seen: list[dict[str, float]], rows: int) -> dict[str, Any]:
    """Rows per second of each way, and ours over each of Keras'."""
    speed = {
        name: round(rows / statistics.median(one[name] for one in seen))
        for name in ("job_s", "batch_4096", "batch_32")
    }
    reading = statistics.median(one["read_s"] + one["batch_32"] for one in seen)
    speed["read_and_batch_32"] = round(rows / reading)
    job = speed.pop("job_s")
    return {
        "rows": rows,
        "job_rows_per_s": job,
        "upload_s": round(statistics.median(one["upload_s"] for one in seen), 2),
        "result_s": round(statistics.median(one["result_s"] for one in seen), 2),
        "keras_rows_per_s": speed,
        "ratios": {name: round(job / other, 2) for name, other in speed.items()},
    }


def write_table(path: Path, rows: int) -> None:
    """Synthetic rows, drawn like the card's cohort."""
    registry = Registry(SHIPPED)
    drawn = [row for row, _ in sample(registry.card(registry.versions()[0]), 1000, SEED)]
    order = np.random.default_rng(SEED).integers(0, len(drawn), rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(drawn[0]))
        writer.writeheader()
        writer.writerows(drawn[i] for i in order)


def in_process(model: Path, table: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.keras_in_process", str(model), str(table)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def one_job(port: int, table: Path, rows: int) -> dict[str, float]:
    """Seconds until it is accepted, until it is done, and for fetching the result."""
    began = time.perf_counter()
    with table.open("rb") as body:
        job = _call(port, "/jobs", body.read())
    uploaded = time.perf_counter() - began
    while (job := _call(port, f"/jobs/{job['id']}"))["state"] != "done":
        if job["state"] in ("failed", "cancelled") or time.perf_counter() - began > JOB_SECONDS:
            raise SystemExit(f"the job is {job['state']}: {job}")
        time.sleep(POLL_SECONDS)
    done = time.perf_counter()
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/jobs/{job['id']}/result?format=csv"
    ) as answer:
        lines = sum(1 for _ in answer)
    if lines != rows + 1:
        raise SystemExit(f"the result has {lines} lines, not {rows + 1}")
    return {
        "upload_s": uploaded,
        "job_s": done - began,
        "result_s": time.perf_counter() - done,
    }


def _call(port: int, path: str, body: bytes | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "text/csv"} if body is not None else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=JOB_SECONDS) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def _wait(running: Running, port: int, reference: Reference) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not load.answers(ours, port, reference):
        if running.ended() or time.monotonic() > give_up:
            raise SystemExit(f"the service did not start; its log: {running.log}")
        time.sleep(0.1)
