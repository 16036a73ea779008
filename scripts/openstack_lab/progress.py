"""What a person sees while the lab comes up: one line a step, with its time and the total."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Writes to stderr; plain lines, so that a log file reads like the screen."""

    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def say(self, text: str) -> None:
        print(f"[{self.elapsed:6.1f} s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell when a step begins, and how long it took if that was noticeable."""
        before = time.monotonic()
        self.say(f"{title} ...")
        yield
        took = time.monotonic() - before
        if took >= 1:
            self.say(f"{title}: done in {took:.1f} s")
