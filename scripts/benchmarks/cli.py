"""The command line of the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import click

from benchmarks import environments, load, results
from benchmarks.chart import draw
from benchmarks.jobs import measure as measure_jobs
from benchmarks.load import Cell
from benchmarks.reference import KERAS_FILE, ONNX_FILE, Reference
from benchmarks.serving import Plan, measure
from benchmarks.systems import ALL, HERE, OURS, PEER_NAMES, QUICK, ROOT, System, ours

FULL_CELLS = [Cell(1), Cell(8), Cell(64), Cell(256), Cell(8, 64)]
QUICK_CELLS = [Cell(1), Cell(64)]

cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=environments.CACHE,
    help="Where the peers' environments are kept.  [default: ~/.cache/stackserve-bench]",
)
json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the results here."
)

nice_option = click.option(
    "--nice",
    "niceness",
    type=click.IntRange(-20, 19),
    help="Run all systems and the load at this niceness, where others use the machine.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure this service and its peers, on this machine."""


@main.command()
@click.option("--quick", is_flag=True, help="Two minutes: ours against two peers, one round.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds over all systems.  [default: 3]")
@click.option("--seconds", type=click.IntRange(1), help="Length of each load.  [default: 4]")
@click.option(
    "--only",
    multiple=True,
    metavar="PEER",
    type=click.Choice(PEER_NAMES),
    help="Measure ours against this peer; may be repeated.",
)
@click.option(
    "--nice",
    "niceness",
    type=click.IntRange(-20, 19),
    help="Run all systems and the load at this niceness, where others use the machine.",
)
@click.option("--chart", type=click.Path(path_type=Path), help="Draw the results as SVG here.")
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

    One system at a time is started, its answers are checked, it is loaded by wrk, and stopped;
    the rounds go over all systems in turn. Medians of the rounds are told.
    """
    load.ensure_wrk()
    began = time.time()
    machine = results.machine()
    model = prepare_model(cache)
    plan = Plan(
        systems=chosen(quick, only),
        cells=QUICK_CELLS if quick else FULL_CELLS,
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
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "took_s": round(time.time() - began),
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
@click.option("--rows", type=click.IntRange(1000), default=100_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@nice_option
@cache_option
@json_option
def jobs(rows: int, rounds: int, niceness: int | None, cache: Path, json_file: Path | None) -> None:
    """Rows per second of one large job, against Keras in process on the same rows."""
    machine = results.machine()
    report = measure_jobs(rows, rounds, cache, prepare_model(cache), niceness)
    click.echo(
        f"POST /jobs: {report['job_rows_per_s']:,} rows/s, from the upload's first byte "
        f"until the job is done (upload {report['upload_s']} s of it)"
    )
    for name, speed in report["keras_rows_per_s"].items():
        click.echo(
            f"Keras in process, {name.replace('_', ' ')}: {speed:,} rows/s; "
            f"ours over it: {report['ratios'][name]:.2f}"
        )
    if json_file:
        json_file.write_text(json.dumps({"machine": machine, **report}, indent=2) + "\n")


def command(plan: Plan) -> str:
    """What to type for the same measurement."""
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


def chosen(quick: bool, only: tuple[str, ...]) -> list[System]:
    """Ours first; of the peers those that were asked for."""
    if only:
        return [ours, *(system for system in ALL if system.peer in only)]
    return QUICK if quick else ALL


def prepare_model(cache: Path) -> Path:
    """The shipped model as Keras file and as ONNX, with rows and the right answers."""
    folder = cache / "model"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.reference", str(folder)], cwd=ROOT, check=True
    )
    builder = HERE / "onnx_model"
    venv = environments.ensure(builder / "requirements.txt", cache, "onnx_model")
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
