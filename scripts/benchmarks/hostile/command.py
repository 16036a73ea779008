"""The command `scripts/bench hostile`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from benchmarks import results
from benchmarks.cli import cache_option, json_option
from benchmarks.hostile.attacks import ATTACKS
from benchmarks.hostile.measure import Plan, measure
from benchmarks.hostile.steady import CONNECTIONS, RATE
from benchmarks.reference import Reference
from benchmarks.systems import ROOT

COLUMNS = {
    "attack": "attack",
    "p99_ms": "p99 ms",
    "attacked_p99_ms": "attacked",
    "ratio": "ratio",
    "attacked_max_ms": "slowest",
    "errors": "errors",
    "peak_mb": "peak MB",
}


@click.command()
@click.option(
    "--seconds",
    type=click.IntRange(1, 60),
    default=4,
    show_default=True,
    help="Duration of each load, in seconds.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="Loads without and with each attack, in turn; their latencies count together.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="WORD",
    help="Run only the attacks whose name contains this; can be repeated.",
)
@cache_option
@json_option
def hostile(
    seconds: int, rounds: int, only: tuple[str, ...], cache: Path, json_file: Path | None
) -> None:
    """Latency of a steady load while hostile clients attack the same web process."""
    attacks = [name for name in ATTACKS if not only or any(word in name for word in only)]
    if not attacks:
        raise click.BadParameter(f"no attack contains {only}", param_hint="--only")
    machine = results.machine()
    model = cache / "model"
    subprocess.run([sys.executable, "-m", "benchmarks.reference", str(model)], cwd=ROOT, check=True)
    scratch = cache / "scratch" / "hostile"
    plan = Plan(attacks, seconds, rounds, scratch, Reference.read(model))
    rows = measure(plan)
    click.echo(f"Steady load: {RATE} predictions per second on {CONNECTIONS} connections")
    click.echo(table(rows))
    if json_file:
        json_file.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    if any(row["errors"] for row in rows):
        raise SystemExit(1)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [list(COLUMNS.values()), *([str(row[key]) for key in COLUMNS] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
