"""Measure a job and answers with more and more hosts, then how much the front end can feed."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from environment import say

from benchmarks import load_generator
from benchmarks.jobs import check_result, finish_job, write_table
from benchmarks.load_generator import Load, LoadResult
from benchmarks.reference import Reference
from benchmarks.scale import network
from benchmarks.scale.front import WEB_PORT, Front
from benchmarks.scale.meter import Usage, metered
from benchmarks.scale.network import Host
from benchmarks.scale.quota import Group
from benchmarks.systems import ours
from production_server.model.registry import Registry
from production_server.settings import Settings

# A chunk fills a batch of this size, so that no row is padding.
CHUNK_ROWS = 512
WARM_UP_SECONDS = 1
# Each poll takes the web tier a millisecond. The server says when the job was done.
POLL_SECONDS = 0.2
FEED_ROWS = 500_000
FEED_LOADS = (Load(64), Load(256))


@dataclass(frozen=True)
class Plan:
    """What to measure. It goes to another process as JSON."""

    hosts: list[int]
    quota: int
    units: int
    rows: int
    rounds: int
    seconds: int
    connections: int
    rows_per_request: int
    web_processes: int
    feed: bool
    folder: str
    group: str
    unified: bool


class Bench:
    """A front end, its hosts, and the figures so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = Path(plan.folder)
        home = self.folder / "home"
        self.registry = Registry(home / "models")
        self.hosts: list[Host] = []
        network.run(network.front_commands())
        say("Starting RabbitMQ, the web tier and the recorder ...")
        self.front = Front(self.folder, home, plan.web_processes, CHUNK_ROWS)

    def reference(self) -> Reference:
        return Reference.read(self.folder / "models" / self.registry.active())

    def grow(self, count: int) -> None:
        """Start hosts until there are this many, then limit all of them."""
        group = Group(Path(self.plan.group), self.plan.unified)
        while len(self.hosts) < count:
            number = len(self.hosts) + 1
            say(f"Starting host {number} ...")
            self.hosts.append(Host(number, group.child(f"host{number}")))
            self.front.add(self.hosts[-1])
        self.front.wait_until_answered(self.reference())
        self.limit(self.plan.quota)

    def limit(self, percent: int | None) -> None:
        for host in self.hosts:
            host.group.limit(percent)

    def job(self, rows: int) -> dict[str, Any]:
        """The rows per second of a job, and what it took of the processor."""
        table = self.folder / f"{rows}.csv"
        if not table.exists():
            write_table(table, rows)
        rates: list[float] = []
        usage = Usage()
        for _ in range(self.plan.rounds):
            began = time.time()
            with metered(self.front.parts()) as used:
                job, _ = finish_job(WEB_PORT, table, POLL_SECONDS)
            rates.append(rows / (datetime.fromisoformat(job["finished"]).timestamp() - began))
            usage.add(used)
            check_result(WEB_PORT, job, rows)
        return {"rate": statistics.median(rates), "rates": rates, "count": rows * len(rates)} | {
            "usage": asdict(usage)
        }

    def answers(self, load: Load) -> dict[str, Any]:
        """The requests per second of a load, and what it took of the processor."""
        self._load(load, WARM_UP_SECONDS)
        results: list[LoadResult] = []
        usage = Usage()
        for _ in range(self.plan.rounds):
            with metered(self.front.parts()) as used:
                results.append(self._load(load, self.plan.seconds))
            usage.add(used)
        rates = [result.rps for result in results]
        return {
            **asdict(load),
            "rate": statistics.median(rates),
            "rates": rates,
            "count": sum(rates) * self.plan.seconds,
            "p50_ms": statistics.median(result.p50_ms for result in results),
            "p99_ms": statistics.median(result.p99_ms for result in results),
            "errors": sum(result.errors for result in results),
            "usage": asdict(usage),
        }

    def _load(self, load: Load, seconds: int) -> LoadResult:
        return load_generator.run(ours, WEB_PORT, load, self.reference(), seconds, None)


def measure(plan: Plan) -> dict[str, Any]:
    bench = Bench(plan)
    steps: list[dict[str, Any]] = []
    for count in plan.hosts:
        bench.grow(count)
        bench.job(CHUNK_ROWS * count)
        step: dict[str, Any] = {
            "hosts": count,
            "job": bench.job(plan.rows),
            "answers": bench.answers(Load(plan.connections, plan.rows_per_request)),
        }
        steps.append(step)
        say(
            f"{count} host{'' if count == 1 else 's'}: {step['job']['rate']:,.0f} rows/s, "
            f"{step['answers']['rate']:,.0f} requests/s"
        )
    return {"steps": steps, "feed": feed(bench) if plan.feed else {}}


def feed(bench: Bench) -> dict[str, Any]:
    """Let the hosts work without a quota on the small shipped model: the front end is the limit."""
    say("Measuring what the front end can feed ...")
    bench.registry.activate(bench.registry.versions()[0])
    bench.limit(None)
    bench.front.restart(Settings.model_fields["chunk_rows"].default)
    bench.front.wait_until_answered(bench.reference())
    bench.job(FEED_ROWS // 10)
    found: dict[str, Any] = {"job": bench.job(FEED_ROWS)}
    found["answers"] = [bench.answers(load) for load in FEED_LOADS]
    return found
