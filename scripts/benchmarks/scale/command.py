"""The command `scripts/bench scale`: what it needs, its own namespaces, and the report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from environment import say

from benchmarks import load_generator, results
from benchmarks.cli import json_option
from benchmarks.scale import report
from benchmarks.scale.chart import draw
from benchmarks.scale.measure import Plan
from benchmarks.scale.network import MOST_HOSTS
from benchmarks.scale.quota import Group, own_group, top
from benchmarks.systems import ROOT
from production_server.local import rabbitmq

PROGRAMS = ("ip", "nsenter", "openssl", "setpriv", "taskset", "unshare")
# It ends by itself after this, whatever hangs.
MOST_SECONDS = 1800
# If this program is killed, so are those that it starts with this.
TOGETHER = ["setpriv", "--pdeathsig", "KILL"]


class Counts(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Numbers of hosts, in ascending order, such as 1,2,4,8."""

    name = "COUNTS"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[int]:
        try:
            counts = sorted({int(word) for word in str(value).split(",")})
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers, such as 1,2,4,8", param, ctx)
        if not 1 <= counts[0] <= counts[-1] <= MOST_HOSTS:
            self.fail(f"there can be 1 to {MOST_HOSTS} hosts, not {value}", param, ctx)
        return counts


@click.command()
@click.option(
    "--hosts", type=Counts(), default="1,2,4,8", show_default=True, help="Numbers of worker hosts."
)
@click.option(
    "--quota",
    type=click.IntRange(5, 100),
    default=25,
    show_default=True,
    help="What a host may use, in percent of a core.",
)
@click.option(
    "--units",
    type=click.IntRange(8, 4096),
    default=1024,
    show_default=True,
    help="Units in each of the two hidden layers of the measured model.",
)
@click.option(
    "--rows",
    type=click.IntRange(1000, 1_000_000),
    default=100_000,
    show_default=True,
    help="Rows of the job.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 20), default=2, show_default=True, help="Number of rounds."
)
@click.option(
    "--seconds",
    type=click.IntRange(1, 60),
    default=5,
    show_default=True,
    help="Duration of each load, in seconds.",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="Connections of the load.",
)
@click.option(
    "--request-rows",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Rows in each request of the load.",
)
@click.option(
    "--web-processes",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    help="Processes of the web tier.",
)
@click.option("--no-feed", is_flag=True, help="Do not measure what the front end can feed.")
@click.option(
    "--chart", type=click.Path(path_type=Path), help="Draw the results as SVG to this file."
)
@json_option
def scale(
    hosts: list[int],
    quota: int,
    units: int,
    rows: int,
    rounds: int,
    seconds: int,
    connections: int,
    request_rows: int,
    web_processes: int,
    no_feed: bool,
    chart: Path | None,
    json_file: Path | None,
) -> None:
    """Rows and requests per second with more and more worker hosts.

    Each host is a network namespace with a share of one core and one worker process. It reaches
    RabbitMQ over TLS with an account of its own, as a worker VM does. Needs root. It removes all
    that it makes, also after Ctrl-C.
    """
    check_requirements()
    started = time.time()
    machine = results.machine()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="stackserve-scale-") as folder:
        group = own_group(top())
        try:
            plan = Plan(
                hosts=hosts,
                quota=quota,
                units=units,
                rows=rows,
                rounds=rounds,
                seconds=seconds,
                connections=connections,
                rows_per_request=request_rows,
                web_processes=web_processes,
                feed=not no_feed,
                folder=folder,
                group=str(group.path),
                unified=group.unified,
            )
            measured = run(plan)
        finally:
            group.remove()
    whole: dict[str, Any] = {
        "machine": machine,
        "command": " ".join(["scripts/bench", *sys.argv[1:]]),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "took_s": round(time.time() - started),
        "plan": asdict(plan),
        **report.summarize(measured, asdict(plan)),
    }
    click.echo(report.table(whole))
    if json_file:
        json_file.write_text(json.dumps(whole, indent=2) + "\n")
    if chart:
        chart.write_text(draw(whole))
    if any(step["answers"]["errors"] for step in measured["steps"]):
        raise SystemExit(1)


def check_requirements() -> None:
    if os.geteuid() != 0:
        raise SystemExit(
            "scripts/bench scale makes network namespaces and control groups, which only root may "
            "do. Run: sudo scripts/bench scale"
        )
    load_generator.require_wrk()
    if not rabbitmq.installed():
        raise SystemExit("RabbitMQ is not installed. Run: apt-get install rabbitmq-server")
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise SystemExit(f"Not installed: {', '.join(missing)} (iproute2, util-linux, openssl)")


def run(plan: Plan) -> dict[str, Any]:
    """Prepare the models, then measure as process 1 of new namespaces."""
    say("Preparing the models ...")
    folder = Path(plan.folder)
    program = [sys.executable, "-m"]
    models = [str(folder / "home" / "models"), str(folder / "models"), str(plan.units)]
    subprocess.run([*TOGETHER, *program, "benchmarks.scale.model", *models], cwd=ROOT, check=True)
    given, found = folder / "plan.json", folder / "result.json"
    given.write_text(json.dumps(asdict(plan)))
    front = Group(Path(plan.group), plan.unified).child("front")
    front.prefer()
    # With unshare, process 1 ends and all others in there.
    own = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    command = [*TOGETHER, *own, *program, "benchmarks.scale.inside"]
    inside = subprocess.Popen(front.command([*command, str(given), str(found)]), cwd=ROOT)
    try:
        code = inside.wait(MOST_SECONDS)
    finally:
        inside.kill()
        inside.wait()
    if code != 0:
        raise SystemExit(f"The measurement failed (exit code {code}).")
    measured: dict[str, Any] = json.loads(found.read_text())
    return measured
