"""Measure the CPU time and memory of the idle service."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from benchmarks.processes import ProcessGroup, cpu_seconds, proportional_bytes

WATCH_SECONDS = 5.0
SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Idle:
    """CPU use in percent of one core, and memory.

    `service` covers the web tier, workers and recorder; `all` adds RabbitMQ and the supervisor.
    """

    service_cpu_percent: float
    all_cpu_percent: float
    service_memory_mb: float
    all_memory_mb: float


def measure_idle(processes: ProcessGroup) -> Idle:
    time.sleep(SETTLE_SECONDS)
    before = {process: cpu_seconds(process) for process in processes.tree()}
    started = time.monotonic()
    time.sleep(WATCH_SECONDS)
    elapsed = time.monotonic() - started
    used = {process: cpu_seconds(process) - start for process, start in before.items()}
    memory = {process: proportional_bytes(process) / 1e6 for process in before}
    service = [process for process in before if _is_service(process)]
    return Idle(
        100 * sum(used[process] for process in service) / elapsed,
        100 * sum(used.values()) / elapsed,
        sum(memory[process] for process in service),
        sum(memory.values()),
    )


def _is_service(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return False
    return "production_server" in command and "serve" not in command
