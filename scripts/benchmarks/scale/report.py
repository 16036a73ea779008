"""Turn the figures into efficiencies, shares of the processor, limits and a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PARTS = {"web": "Web tier", "recorder": "Recorder", "rabbitmq": "RabbitMQ"}
USE_COLUMNS = ("Quota used", "Front end", "Idle")
JOB_COLUMNS = ("Hosts", "Rows per second", "Efficiency", *USE_COLUMNS)
ANSWER_COLUMNS = ("Hosts", "Requests per second", "Efficiency", "Median", *USE_COLUMNS)
FEED_COLUMNS = ("Load", "Measured", "Idle", *PARTS.values(), "First limit", "One core feeds")


def efficiency(rates: dict[int, float]) -> dict[int, float]:
    """The rate of each number of hosts, divided by that many times the rate of one host.

    Without a measurement of one host, the smallest number stands for it.
    """
    least = min(rates)
    return {
        count: round(rate * least / (count * rates[least]), 3) if rates[least] else 0.0
        for count, rate in rates.items()
    }


def cores(measured: dict[str, Any]) -> dict[str, float]:
    """How many cores each part used on average, and how many were idle."""
    usage = measured["usage"]
    used = {**usage["parts"], "idle": usage["idle"]}
    return {name: round(seconds / usage["seconds"], 3) for name, seconds in used.items()}


def per_thousand(measured: dict[str, Any]) -> dict[str, float]:
    """CPU milliseconds of each part of the front end for 1,000 rows or requests.

    Divided by 10, it is the percentage of a core that 1,000 a second take.
    """
    parts = measured["usage"]["parts"]
    return {part: round(1e6 * parts[part] / measured["count"], 2) for part in PARTS}


def limits(cost: dict[str, float], web_processes: int) -> dict[str, int]:
    """The rate at which each part would be busy all the time, and at which one core is full.

    The recorder is one process on one core. RabbitMQ uses several cores for several queues, but
    one queue is one Erlang process, so a single core is the safe figure for it.
    """
    busy = {part: web_processes if part == "web" else 1 for part in PARTS}
    found = {part: round(1e6 * busy[part] / max(cost[part], 0.01)) for part in PARTS}
    return {**found, "one_core": round(1e6 / max(sum(cost.values()), 0.01))}


def summarize(measured: dict[str, Any], plan: dict[str, Any]) -> dict[str, Any]:
    """Add what follows from the measurements."""
    steps = measured["steps"]
    for kind in ("job", "answers"):
        rates = {step["hosts"]: step[kind]["rate"] for step in steps}
        for step in steps:
            step[kind]["efficiency"] = efficiency(rates)[step["hosts"]]
            step[kind]["cores"] = cores(step[kind])
    feed = measured["feed"]
    for one in [feed["job"], *feed["answers"]] if feed else []:
        one["cores"] = cores(one)
        one["cpu_ms_per_1000"] = per_thousand(one)
        one["limits"] = limits(one["cpu_ms_per_1000"], plan["web_processes"])
    return measured


def table(report: dict[str, Any]) -> str:
    """The report as Markdown, for docs/scale.md."""
    quota = report["plan"]["quota"] / 100
    tables = [
        markdown([columns, *(_cells(kind, step, quota) for step in report["steps"])])
        for kind, columns in (("job", JOB_COLUMNS), ("answers", ANSWER_COLUMNS))
    ]
    if feed := report["feed"]:
        answers = [
            (f"{one['connections']} connections", "requests", one) for one in feed["answers"]
        ]
        lines = [_feed_cells(*each) for each in [("A job", "rows", feed["job"]), *answers]]
        tables.append(markdown([FEED_COLUMNS, *lines]))
    return "\n\n".join(tables)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    ]
    return "\n".join([text[0], f"| {' | '.join('-' * width for width in widths)} |", *text[1:]])


def _cells(kind: str, step: dict[str, Any], quota: float) -> list[str]:
    one = step[kind]
    share = one["cores"]["hosts"] / (quota * step["hosts"])
    front = sum(one["cores"][part] for part in PARTS)
    return [
        str(step["hosts"]),
        f"{one['rate']:,.0f}",
        f"{one['efficiency']:.2f}",
        *([f"{one['p50_ms']:.0f} ms"] if kind == "answers" else []),
        f"{share:.0%}",
        f"{front:.2f}",
        f"{one['cores']['idle']:.2f}",
    ]


def _feed_cells(name: str, unit: str, one: dict[str, Any]) -> list[str]:
    cost, most = one["cpu_ms_per_1000"], one["limits"]
    first = min(PARTS, key=lambda part: most[part])
    return [
        name,
        f"{one['rate']:,.0f} {unit}/s",
        f"{one['cores']['idle']:.2f}",
        *(f"{cost[part] / 10:.2f}%" for part in PARTS),
        f"{PARTS[first]}, {most[first]:,} {unit}/s",
        f"{most['one_core']:,} {unit}/s",
    ]
