"""Progress messages: one line per step, with the time since the start."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Writes plain lines to stderr, which suit a log file as well as a terminal."""

    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        print(f"[{self.elapsed:6.1f} s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Report when a step begins, and its duration if it took over a second."""
        before = time.monotonic()
        self.say(f"{title} ...")
        yield
        took = time.monotonic() - before
        if took >= 1:
            self.say(f"{title}: done in {took:.1f} s")
