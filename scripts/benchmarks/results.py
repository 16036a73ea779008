"""From what was seen to what is told: medians, ratios, the JSON and the table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load import Cell, Seen
from benchmarks.serving import Measured, Visit
from benchmarks.systems import OURS, PEER_NAMES

Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """The machine, and how busy it is with other things."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def rows(measured: Measured) -> list[Row]:
    """A row a system and load: medians over the rounds, errors of all rounds together."""
    found: list[Row] = []
    for system in dict.fromkeys(visit.system.name for visit in measured.visits):
        visits = [visit for visit in measured.visits if visit.system.name == system]
        for cell in visits[0].seen:
            found.append(_row(visits, cell, measured.installed_mb))
    return found


def _row(visits: list[Visit], cell: Cell, installed: dict[str, float]) -> Row:
    seen = [visit.seen[cell] for visit in visits]

    def middle(take: Callable[[Seen], float]) -> float:
        return statistics.median(take(one) for one in seen)

    return {
        "system": visits[0].system.name,
        "connections": cell.connections,
        "rows_per_request": cell.rows,
        "rps": round(middle(lambda one: one.rps), 1),
        "p50_ms": round(middle(lambda one: one.p50_ms), 3),
        "p99_ms": round(middle(lambda one: one.p99_ms), 3),
        "errors": sum(one.errors for one in seen),
        "rss_mb": round(statistics.median(visit.memory_mb for visit in visits)),
        "start_s": round(statistics.median(visit.start_s for visit in visits), 1),
        "installed_mb": round(installed[visits[0].system.peer]),
    }


def peer_of(system: str) -> str:
    """litserve_batching is a setting of litserve."""
    return next(peer for peer in [OURS, *PEER_NAMES] if system.startswith(peer))


def ratios(found: list[Row]) -> dict[str, dict[str, float]]:
    """Our requests/s over theirs, single rows, the peer's better setting."""
    best: dict[tuple[str, int], float] = {}
    for row in found:
        if row["rows_per_request"] == 1:
            key = peer_of(row["system"]), row["connections"]
            best[key] = max(best.get(key, 0.0), row["rps"])
    told: dict[str, dict[str, float]] = {}
    for (peer, connections), rps in best.items():
        mine = best.get((OURS, connections))
        if peer != OURS and mine is not None and rps:
            told.setdefault(peer, {})[str(connections)] = round(mine / rps, 2)
    return told


def idle(measured: Measured) -> dict[str, float] | None:
    seen = [visit.idle for visit in measured.visits if visit.idle is not None]
    if not seen:
        return None
    return {
        name: round(statistics.median(getattr(one, name) for one in seen), 1)
        for name in vars(seen[0])
    }


def amqp(measured: Measured, found: list[Row]) -> dict[str, float]:
    """The raw round trip, and how many of them our answer to one connection takes."""
    raw = statistics.median(measured.amqp_ms)
    told = {"p50_ms": round(raw, 3)}
    for row in found:
        if (row["system"], row["connections"], row["rows_per_request"]) == (OURS, 1, 1):
            told["ours_over_raw"] = round(row["p50_ms"] / raw, 2)
    return told


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    columns = [
        "system",
        "conns",
        "rows",
        "req/s",
        "p50 ms",
        "p99 ms",
        "errors",
        "MB",
        "start s",
        "disk MB",
        "ours/it",
    ]
    lines = []
    for row in report["rows"]:
        single = row["rows_per_request"] == 1
        ratio = report["ratios"].get(peer_of(row["system"]), {}).get(str(row["connections"]))
        lines.append(
            [
                row["system"],
                str(row["connections"]),
                str(row["rows_per_request"]),
                f"{row['rps']:,.0f}",
                f"{row['p50_ms']:.2f}",
                f"{row['p99_ms']:.2f}",
                str(row["errors"]),
                str(row["rss_mb"]),
                f"{row['start_s']:.1f}",
                str(row["installed_mb"]),
                f"{ratio:.2f}" if ratio and single else "",
            ]
        )
    widths = [max(len(line[i]) for line in [columns, *lines]) for i in range(len(columns))]
    told = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [columns, *lines]
    ]
    raw = report["amqp"]
    told += [
        "",
        f"Raw AMQP round trip: {raw['p50_ms']:.2f} ms; one request of ours takes "
        f"{raw.get('ours_over_raw', 0):.2f} of them.",
    ]
    if report["idle"]:
        rest = report["idle"]
        told.append(
            f"Idle: {rest['service_cpu_percent']:.1f}% of a core and "
            f"{rest['service_memory_mb']:.0f} MB for web, workers and recorder; with RabbitMQ "
            f"{rest['all_cpu_percent']:.1f}% and {rest['all_memory_mb']:.0f} MB."
        )
    told += [f"Not measured: {name}: {why}" for name, why in report["failures"].items()]
    return "\n".join(told)
