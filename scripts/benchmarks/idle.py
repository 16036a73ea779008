"""What our service costs while nobody asks: processor time and memory of its own processes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from benchmarks.processes import Running, proportional_bytes

WATCH_SECONDS = 5.0
SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Idle:
    """Percent of one core, and memory; `service` is web, workers and recorder, without RabbitMQ."""

    service_cpu_percent: float
    all_cpu_percent: float
    service_memory_mb: float
    all_memory_mb: float


def watch(running: Running) -> Idle:
    time.sleep(SETTLE_SECONDS)
    before = {process: _seconds(process) for process in running.tree()}
    began = time.monotonic()
    time.sleep(WATCH_SECONDS)
    elapsed = time.monotonic() - began
    used = {process: _seconds(process) - then for process, then in before.items()}
    memory = {process: proportional_bytes(process) / 1e6 for process in before}
    service = [process for process in before if _is_service(process)]
    return Idle(
        100 * sum(used[process] for process in service) / elapsed,
        100 * sum(used.values()) / elapsed,
        sum(memory[process] for process in service),
        sum(memory.values()),
    )


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _is_service(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return "production_server" in command and "serve" not in command
