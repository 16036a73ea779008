"""The commands serving, access, containers and jobs of `scripts/bench`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks import load_generator, results, venvs
from benchmarks.access import LOAD as ACCESS_LOAD
from benchmarks.access import OPEN
from benchmarks.access import measure as measure_access
from benchmarks.chart import draw
from benchmarks.containers import PROCESSES
from benchmarks.containers import measure as measure_containers
from benchmarks.jobs import measure as measure_jobs
from benchmarks.load_generator import Load
from benchmarks.reference import KERAS_FILE, ONNX_FILE, Reference
from benchmarks.serving import Plan, measure
from benchmarks.systems import ALL, HERE, OURS, PEER_NAMES, QUICK, ROOT, System, ours

FULL_LOADS = [Load(1), Load(8), Load(64), Load(256), Load(8, 64)]
QUICK_LOADS = [Load(1), Load(64)]

cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=venvs.CACHE,
    help="Folder for the peers' environments.  [default: ~/.cache/stackserve-bench]",
)
json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the results to this file."
)
rounds_option = click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Number of rounds."
)
seconds_option = click.option(
    "--seconds", type=click.IntRange(1), default=4, show_default=True, help="Duration of a load."
)
nice_option = click.option(
    "--nice",
    "niceness",
    type=click.IntRange(-20, 19),
    help="Run all systems and the load generator at this niceness.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Benchmark this service and its peers."""


@main.command()
@click.option(
    "--quick", is_flag=True, help="Compare with two peers in one round; takes two minutes."
)
@click.option("--rounds", type=click.IntRange(1), help="Number of rounds.  [default: 3]")
@click.option(
    "--seconds", type=click.IntRange(1), help="Duration of each load, in seconds.  [default: 4]"
)
@click.option(
    "--only",
    multiple=True,
    metavar="PEER",
    type=click.Choice(PEER_NAMES),
    help="Compare with this peer only; can be repeated.",
)
@nice_option
@click.option(
    "--chart", type=click.Path(path_type=Path), help="Draw the results as SVG to this file."
)
@cache_option
@json_option
def serving(
    quick: bool,
    rounds: int | None,
    seconds: int | None,
    only: tuple[str, ...],
    niceness: int | None,
    chart: Path | None,
    cache: Path,
    json_file: Path | None,
) -> None:
    """Requests per second of this service and its peers, with the same model and load.

    Systems run one at a time: start, check the predictions, load with wrk, stop. Each round
    measures every system once; the results are the medians over all rounds.
    """
    load_generator.require_wrk()
    started = time.time()
    machine = results.machine()
    model = prepare_model(cache)
    plan = Plan(
        systems=choose_systems(quick, only),
        loads=QUICK_LOADS if quick else FULL_LOADS,
        rounds=rounds or (1 if quick else 3),
        seconds=seconds or (3 if quick else 4),
        niceness=niceness,
        cache=cache,
        model=model,
        reference=Reference.read(model),
    )
    measured = measure(plan)
    rows = results.rows(measured)
    report = {
        "machine": machine,
        "command": command(plan),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "took_s": round(time.time() - started),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "rows": rows,
        "ratios": results.ratios(rows),
        "amqp": results.amqp(measured, rows),
        "idle": results.idle(measured),
        "failures": measured.failures,
    }
    click.echo(results.table(report))
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    if chart:
        chart.write_text(draw(report))
    if OURS in measured.failures:
        raise SystemExit(1)


@main.command()
@rounds_option
@seconds_option
@nice_option
@cache_option
def access(rounds: int, seconds: int, niceness: int | None, cache: Path) -> None:
    """Requests per second with tokens and TLS, compared with the open service."""
    load_generator.require_wrk()
    found = measure_access(cache, prepare_model(cache), rounds, seconds, niceness)
    for case, speed in found.items():
        click.echo(f"{case}: {speed:,.0f} requests/s with {ACCESS_LOAD.connections} connections")
        if case != OPEN:
            click.echo(f"  {speed / found[OPEN]:.2f} times as many as the open service")


@main.command()
@rounds_option
@seconds_option
@nice_option
@cache_option
def containers(rounds: int, seconds: int, niceness: int | None, cache: Path) -> None:
    """Requests per second in containers, compared with the same as processes. Needs root."""
    load_generator.require_wrk()
    model = prepare_model(cache)
    for load, found in measure_containers(cache, model, rounds, seconds, niceness).items():
        many = "connection" if load.connections == 1 else "connections"
        for case, speed in found.items():
            click.echo(f"{case}: {speed:,.0f} requests/s with {load.connections} {many}")
            if case != PROCESSES:
                click.echo(f"  {speed / found[PROCESSES]:.2f} times the speed {PROCESSES}")


@main.command()
@click.option(
    "--rows", type=click.IntRange(1000), default=100_000, show_default=True, help="Rows of the job."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds."
)
@nice_option
@cache_option
@json_option
def jobs(rows: int, rounds: int, niceness: int | None, cache: Path, json_file: Path | None) -> None:
    """Rows per second of one large job, compared with Keras in process on the same rows."""
    machine = results.machine()
    report = measure_jobs(rows, rounds, cache, prepare_model(cache), niceness)
    click.echo(
        f"POST /jobs: {report['job_rows_per_s']:,} rows/s, from the first byte of the upload "
        f"until the job is done (of which the upload takes {report['upload_s']} s)"
    )
    for name, speed in report["keras_rows_per_s"].items():
        click.echo(
            f"Keras in process, {name.replace('_', ' ')}: {speed:,} rows/s; "
            f"Stackserve is {report['ratios'][name]:.2f} times as fast"
        )
    if json_file:
        json_file.write_text(json.dumps({"machine": machine, **report}, indent=2) + "\n")


def command(plan: Plan) -> str:
    """The command line that repeats this measurement."""
    words = ["scripts/bench serving", f"--rounds {plan.rounds}", f"--seconds {plan.seconds}"]
    if plan.niceness is not None:
        words.append(f"--nice {plan.niceness}")
    if plan.systems == QUICK:
        words.append("--quick")
    elif plan.systems != ALL:
        words += [f"--only {peer}" for peer in PEER_NAMES if peer in _peers(plan.systems)]
    return " ".join(words)


def _peers(systems: list[System]) -> set[str]:
    return {system.peer for system in systems}


def choose_systems(quick: bool, only: tuple[str, ...]) -> list[System]:
    """Stackserve first, then the requested peers."""
    if only:
        return [ours, *(system for system in ALL if system.peer in only)]
    return QUICK if quick else ALL


def prepare_model(cache: Path) -> Path:
    """Write the shipped model as a Keras and an ONNX file, with rows and expected results."""
    folder = cache / "model"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.reference", str(folder)], cwd=ROOT, check=True
    )
    builder = HERE / "onnx_model"
    venv = venvs.ensure(builder / "requirements.txt", cache, "onnx_model")
    subprocess.run(
        [
            str(venv / "bin" / "python"),
            str(builder / "build.py"),
            str(folder),
            str(folder / ONNX_FILE),
        ],
        check=True,
    )
    assert (folder / KERAS_FILE).exists()
    return folder
