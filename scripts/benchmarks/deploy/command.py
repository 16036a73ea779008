"""The command `scripts/bench deploy`: run the cases, and report a table and JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.cli import json_option
from benchmarks.deploy import guests, timelines
from benchmarks.deploy.timelines import BAKED, BARE, STOCK, USUAL, Timeline

SHORT = {"bare": BARE, "baked": BAKED, "stock": STOCK, "usual": USUAL}


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(SHORT)),
    help="Measure this case; can be repeated.  [default: all]",
)
@click.option(
    "--timeout",
    type=click.IntRange(60),
    default=3600,
    show_default=True,
    help="Timeout of each case, in seconds.",
)
@json_option
def deploy(only: tuple[str, ...], timeout: int, json_file: Path | None) -> None:
    """Time from the command to the first prediction, on the sourced cloud.

    The cases run one at a time: the usual cloud-config (upgrade, build tools, pip), Stackserve
    on a stock image, Stackserve on a baked image, and a bare guest (from create to ssh) as the
    lower bound. If no baked image fits, the command bakes one first. It then starts one extra
    server, because the first server from an image waits until the hypervisor has copied it.
    """
    selected = [SHORT[name] for name in only or SHORT]
    report: dict[str, Any] = {
        "command": " ".join(["scripts/bench", *sys.argv[1:]]),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "rows": [],
    }
    results: list[Timeline] = []
    for case in selected:
        load = round(os.getloadavg()[0], 2)
        result = measure(case, timeout, report)
        results.append(result)
        report["rows"].append(result.as_json() | {"load_before": load})
        report["ratios"] = ratios(results)
        if json_file:
            json_file.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(table(results))
    for name, value in report["ratios"].items():
        click.echo(f"{name}: {value}")


def measure(case: str, timeout: int, report: dict[str, Any]) -> Timeline:
    """Measure one case; adds the bake to the report if one is needed."""
    click.echo(f"{case} ...", err=True)
    if case == BARE:
        return timelines.bare(timeout)
    if case == USUAL:
        return timelines.usual(timeout)
    if case == STOCK:
        return timelines.ours(
            case, guests.stock_image(guests.sourced_cloud(timelines.NAME)), timeout
        )
    if timelines.baked_image() is None:
        started = time.monotonic()
        click.echo("No baked image fits. Baking one ...", err=True)
        baked = timelines.run_stackserve("bake", "--json", "--timeout-ready", str(timeout))
        report["bake"] = {
            "seconds": round(time.monotonic() - started, 1),
            "size_bytes": baked["size_bytes"],
            "stages": baked.get("stages", []),
        }
        with guests.guest(timelines.NAME, b"#cloud-config\n{}\n", image=baked["image"]):
            click.echo("The hypervisor has a copy of the baked image.", err=True)
    return timelines.ours(case, None, timeout)


def ratios(results: list[Timeline]) -> dict[str, float]:
    """The ratios between the cases that were measured."""
    by_case = {result.case: result for result in results}
    ratios: dict[str, float] = {}

    def add(name: str, over: str, under: str, field: str) -> None:
        if over in by_case and under in by_case:
            above, below = getattr(by_case[over], field), getattr(by_case[under], field)
            if above and below:
                ratios[name] = round(above / below, 2)

    add("usual / stock, seconds", USUAL, STOCK, "seconds")
    add("stock / usual, bytes", STOCK, USUAL, "received")
    add("baked / bare, seconds", BAKED, BARE, "seconds")
    add("usual / baked, seconds", USUAL, BAKED, "seconds")
    return ratios


def table(results: list[Timeline]) -> str:
    """The results as a Markdown table."""
    rows = ["| Case | Seconds | MB received |", "| --- | --- | --- |"]
    for result in results:
        received = "?" if result.received is None else f"{result.received / 1e6:,.1f}"
        rows.append(f"| {result.case} | {result.seconds:,.0f} | {received} |")
    return "\n".join(rows)
