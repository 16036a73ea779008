"""What a training costs those who ask for predictions: the slowest answers without and during one.

Both are measured in one run, in turns: each round has a quiet part and one while a model is
trained, at the same steady rate of requests.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import click
from environment import say

from benchmarks import serving, venvs
from benchmarks.processes import ProcessGroup, free_port
from benchmarks.reference import Reference
from benchmarks.systems import RunContext, ours
from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from production_server.model import cohort
from production_server.model.registry import SHIPPED, Registry

# A training may slow the slowest answers down to this.
MOST = 2.0
START_SECONDS = 120.0
ROWS = 2000


@dataclass
class Part:
    """The seconds of each answer of a part, in which a training runs or does not."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def p99_ms(self) -> float:
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]


@dataclass
class Found:
    """All rounds. The ratio is the median of those of the rounds."""

    quiet: list[Part] = field(default_factory=list)
    training: list[Part] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        pairs = zip(self.quiet, self.training, strict=True)
        return statistics.median(busy.p99_ms / quiet.p99_ms for quiet, busy in pairs)


def measure(cache: Path, model: Path, rounds: int, seconds: int, rate: int) -> Found:
    """Start the service, and measure the rounds."""
    reference = Reference.read(model)
    venv = venvs.ensure(ours.requirements, cache, ours.peer)
    scratch = cache / "scratch" / "training"
    shutil.rmtree(scratch, ignore_errors=True)
    context = RunContext(free_port(), venv, model, scratch, "")
    processes = ProcessGroup(
        ours.commands(context), ours.folder, ours.env(context), scratch / "output.log"
    )
    found = Found()
    try:
        serving.wait_until_ready(processes, ours, context.port, reference)
        client = Client(context.port, scratch / "home")
        client.ask(2, rate)  # warm up
        for number in range(1, rounds + 1):
            found.quiet.append(client.ask(seconds, rate))
            run = client.train(seed=number)
            found.training.append(client.ask(seconds, rate))
            state = client.end(run)
            if state != "running":
                raise SystemExit(f"the training was {state} before the part ended; use more rows")
            say(
                f"Round {number} of {rounds}: p99 {found.quiet[-1].p99_ms:.1f} ms, and "
                f"{found.training[-1].p99_ms:.1f} ms while a model is trained"
            )
    finally:
        processes.stop()
    return found


class Client:
    """Asks for predictions, and starts trainings."""

    def __init__(self, port: int, home: Path) -> None:
        self._port = port
        token = Tokens(home / "access").create("bench", frozenset(Scope), None)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
        registry = Registry(SHIPPED)
        self._card = registry.card(registry.versions()[-1])
        self._row = json.dumps({one.name: one.default for one in self._card.features})

    def ask(self, seconds: int, rate: int) -> Part:
        """Send requests at a steady rate, whether or not the answers keep up."""
        part, lock = Part(), threading.Lock()
        clients = 4
        ends = time.perf_counter() + seconds

        def work(number: int) -> None:
            connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
            due = time.perf_counter() + number / rate
            while due < ends:
                time.sleep(max(0.0, due - time.perf_counter()))
                connection.request(
                    "POST", "/predict", self._row, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                answer.read()
                with lock:
                    # From when it was due: a client that waits must not hide a slow answer.
                    part.seconds.append(time.perf_counter() - due)
                    part.errors += answer.status != 200
                due += clients / rate
            connection.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if part.errors:
            raise SystemExit(f"{part.errors} requests failed")
        return part

    def train(self, seed: int) -> str:
        """Start a training, and return its ID once its losses come in."""
        lines = [",".join([*self._card.feature_names, self._card.outcome])]
        for row, label in cohort.sample(self._card, ROWS, seed=seed):
            outcome = self._card.classes.index(label or self._card.classes[0])
            lines.append(",".join([*(f"{value:g}" for value in row.values()), str(outcome)]))
        table = "\n".join(lines).encode()
        run: str = self._call("POST", f"/training?name=bench&seed={seed}", table)["id"]
        until = time.monotonic() + START_SECONDS
        while not self._call("GET", f"/training/{run}")["phase"]:
            if time.monotonic() > until:
                raise SystemExit("the training did not start")
            time.sleep(0.2)
        return run

    def end(self, run: str) -> str:
        """Cancel a training, and return its state before."""
        state: str = self._call("GET", f"/training/{run}")["state"]
        if state == "running":
            self._call("DELETE", f"/training/{run}")
        until = time.monotonic() + START_SECONDS
        while self._call("GET", f"/training/{run}")["state"] == "running":
            if time.monotonic() > until:
                raise SystemExit("the training did not end")
            time.sleep(0.2)
        return state

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", body, self._headers, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                said: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.read().decode()}") from error
        return said


@click.command()
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds."
)
@click.option(
    "--seconds", type=click.IntRange(1), default=10, show_default=True, help="Duration of a part."
)
@click.option(
    "--rate", type=click.IntRange(1), default=50, show_default=True, help="Requests per second."
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=venvs.CACHE,
    help="Folder for the peers' environments.  [default: ~/.cache/stackserve-bench]",
)
def training(rounds: int, seconds: int, rate: int, cache: Path) -> None:
    """The slowest 1% of the answers while a model is trained, compared with those before."""
    from benchmarks.cli import prepare_model

    found = measure(cache, prepare_model(cache), rounds, seconds, rate)
    click.echo(
        f"p99 while a model is trained: {found.ratio:.2f} times that without "
        f"(median of {rounds} rounds, {rate} requests/s)"
    )
    if found.ratio >= MOST:
        raise SystemExit(f"it should be less than {MOST:g} times")
