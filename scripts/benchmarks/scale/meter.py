"""How much of the processor each part of the service uses while something else is measured."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from benchmarks.processes import cpu_seconds
from benchmarks.scale.front import Processes


@dataclass
class Usage:
    """CPU seconds of each part, and the idle ones of the machine, over some time."""

    seconds: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    idle: float = 0.0

    def add(self, other: Usage) -> None:
        self.seconds += other.seconds
        self.idle += other.idle
        for name, used in other.parts.items():
            self.parts[name] = self.parts.get(name, 0.0) + used


@contextmanager
def metered(parts: Mapping[str, Processes]) -> Iterator[Usage]:
    """Measure until the end of the block. Processes that start or end in it do not count."""
    usage = Usage()
    before = {
        name: [(process, cpu_seconds(process)) for process in processes()]
        for name, processes in parts.items()
    }
    idle, started = psutil.cpu_times().idle, time.monotonic()
    yield usage
    usage.seconds = time.monotonic() - started
    usage.idle = psutil.cpu_times().idle - idle
    usage.parts = {
        name: sum(cpu_seconds(process) - used for process, used in processes)
        for name, processes in before.items()
    }
