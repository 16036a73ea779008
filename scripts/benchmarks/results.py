"""Turn measurements into a report: medians, ratios, JSON and the table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load_generator import Load, LoadResult
from benchmarks.serving import Measurements, SystemRun
from benchmarks.systems import OURS, PEER_NAMES

Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """The machine, and its load before the benchmark."""
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


def rows(measurements: Measurements) -> list[Row]:
    """One row per system and load: medians over the rounds, and the sum of the errors."""
    rows: list[Row] = []
    for system in dict.fromkeys(run.system.name for run in measurements.runs):
        runs = [run for run in measurements.runs if run.system.name == system]
        for load in runs[0].results:
            rows.append(_row(runs, load, measurements.installed_mb))
    return rows


def _row(runs: list[SystemRun], load: Load, installed: dict[str, float]) -> Row:
    results = [run.results[load] for run in runs]

    def median(figure: Callable[[LoadResult], float]) -> float:
        return statistics.median(figure(result) for result in results)

    return {
        "system": runs[0].system.name,
        "connections": load.connections,
        "rows_per_request": load.rows,
        "rps": round(median(lambda result: result.rps), 1),
        "p50_ms": round(median(lambda result: result.p50_ms), 3),
        "p99_ms": round(median(lambda result: result.p99_ms), 3),
        "errors": sum(result.errors for result in results),
        "rss_mb": round(statistics.median(run.memory_mb for run in runs)),
        "start_s": round(statistics.median(run.start_s for run in runs), 1),
        "installed_mb": round(installed[runs[0].system.peer]),
    }


def peer_name(system: str) -> str:
    """The peer of a system: litserve_batching is a setting of litserve."""
    return next(peer for peer in [OURS, *PEER_NAMES] if system.startswith(peer))


def ratios(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Our requests per second divided by each peer's, for single rows and its faster setting."""
    best: dict[tuple[str, int], float] = {}
    for row in rows:
        if row["rows_per_request"] == 1:
            key = peer_name(row["system"]), row["connections"]
            best[key] = max(best.get(key, 0.0), row["rps"])
    ratios: dict[str, dict[str, float]] = {}
    for (peer, connections), rps in best.items():
        ours = best.get((OURS, connections))
        if peer != OURS and ours is not None and rps:
            ratios.setdefault(peer, {})[str(connections)] = round(ours / rps, 2)
    return ratios


def idle(measurements: Measurements) -> dict[str, float] | None:
    """The median cost of the idle service."""
    idles = [run.idle for run in measurements.runs if run.idle is not None]
    if not idles:
        return None
    return {
        name: round(statistics.median(getattr(idle, name) for idle in idles), 1)
        for name in vars(idles[0])
    }


def amqp(measurements: Measurements, rows: list[Row]) -> dict[str, float]:
    """The raw AMQP round trip, and our latency at one connection as a multiple of it."""
    raw = statistics.median(measurements.amqp_ms)
    figures = {"p50_ms": round(raw, 3)}
    for row in rows:
        if (row["system"], row["connections"], row["rows_per_request"]) == (OURS, 1, 1):
            figures["ours_over_raw"] = round(row["p50_ms"] / raw, 2)
    return figures


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
        "ratio",
    ]
    cells = []
    for row in report["rows"]:
        single = row["rows_per_request"] == 1
        ratio = report["ratios"].get(peer_name(row["system"]), {}).get(str(row["connections"]))
        cells.append(
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
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    text = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [columns, *cells]
    ]
    raw = report["amqp"]
    text += [
        "",
        "ratio: how many times as fast Stackserve is, for single rows.",
        f"Raw AMQP round trip: {raw['p50_ms']:.2f} ms. A Stackserve request takes "
        f"{raw.get('ours_over_raw', 0):.2f} times as long.",
    ]
    if report["idle"]:
        cost = report["idle"]
        text.append(
            f"Idle: the web tier, workers and recorder use {cost['service_cpu_percent']:.1f}% of a "
            f"core and {cost['service_memory_mb']:.0f} MB; with RabbitMQ "
            f"{cost['all_cpu_percent']:.1f}% and {cost['all_memory_mb']:.0f} MB."
        )
    text += [f"Not measured: {name}: {why}" for name, why in report["failures"].items()]
    return "\n".join(text)
