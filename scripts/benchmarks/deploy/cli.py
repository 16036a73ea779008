"""The verb: which time lines, in which order, told as a table and as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.deploy import cases, guests
from benchmarks.deploy.cases import BAKED, BARE, STOCK, USUAL, Line

SHORT = {"bare": BARE, "baked": BAKED, "stock": STOCK, "usual": USUAL}


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(SHORT)),
    help="Measure this one; may be repeated.  [default: all]",
)
@click.option(
    "--patience",
    type=click.IntRange(60),
    default=3600,
    show_default=True,
    help="Seconds to wait for each.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the results here."
)
def deploy(only: tuple[str, ...], patience: int, json_file: Path | None) -> None:
    """From the command to the first prediction, on the sourced cloud, one server at a time.

    The usual cloud-cfg (upgrade, build tools, pip), ours on a stock image, ours on a baked image
    (baked first if there is none that fits), and a bare guest from create to ssh as the floor.
    The first server of an image waits for its way to the hypervisor; so one more than is
    measured is made of the baked image, as the stock image was used by whoever baked.
    """
    wanted = [SHORT[name] for name in only or SHORT]
    report: dict[str, Any] = {
        "command": " ".join(["scripts/bench", *sys.argv[1:]]),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "rows": [],
    }
    lines: list[Line] = []
    for case in wanted:
        load = round(os.getloadavg()[0], 2)
        line = measure(case, patience, report)
        lines.append(line)
        report["rows"].append(line.as_json() | {"load_before": load})
        report["ratios"] = ratios(lines)
        if json_file:
            json_file.write_text(json.dumps(report, indent=2) + "\n")
    click.echo(table(lines))
    for name, value in report["ratios"].items():
        click.echo(f"{name}: {value}")


def measure(case: str, patience: int, report: dict[str, Any]) -> Line:
    """One time line."""
    click.echo(f"{case} ...", err=True)
    if case == BARE:
        return cases.bare(patience)
    if case == USUAL:
        return cases.usual_way(patience)
    if case == STOCK:
        return cases.ours(case, guests.stock_image(guests.session(cases.NAME)), patience)
    if cases.baked_image() is None:
        began = time.monotonic()
        click.echo("no baked image fits: baking one ...", err=True)
        baked = cases.run_verb("bake", "--json", "--timeout-ready", str(patience))
        report["bake"] = {
            "seconds": round(time.monotonic() - began, 1),
            "size_bytes": baked["size_bytes"],
            "stages": baked.get("stages", []),
        }
        with guests.guest(cases.NAME, b"#cloud-config\n{}\n", image=baked["image"]):
            click.echo("the image is on its hypervisor", err=True)
    return cases.ours(case, None, patience)


def ratios(lines: list[Line]) -> dict[str, float]:
    """What the lines say about one another."""
    by_case = {line.case: line for line in lines}
    found: dict[str, float] = {}

    def ratio(words: str, over: str, under: str, take: str) -> None:
        if over in by_case and under in by_case:
            above, below = getattr(by_case[over], take), getattr(by_case[under], take)
            if above and below:
                found[words] = round(above / below, 2)

    ratio("usual / stock, seconds", USUAL, STOCK, "seconds")
    ratio("stock / usual, bytes", STOCK, USUAL, "received")
    ratio("baked / bare, seconds", BAKED, BARE, "seconds")
    ratio("usual / baked, seconds", USUAL, BAKED, "seconds")
    return found


def table(lines: list[Line]) -> str:
    """The lines as Markdown."""
    rows = ["| | seconds | MB received |", "| --- | --- | --- |"]
    for line in lines:
        received = "?" if line.received is None else f"{line.received / 1e6:,.1f}"
        rows.append(f"| {line.case} | {line.seconds:,.0f} | {received} |")
    return "\n".join(rows)
