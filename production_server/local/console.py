"""What a person sees while the service starts: one line a step, with the time since the start."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TextIO


class Console:
    """Plain lines, fit for a terminal, a pipe and a log."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        elapsed = time.monotonic() - self._started
        self.say(f"[{elapsed:5.1f} s] {text}")

    def say(self, text: str) -> None:
        # Whoever closed the terminal or the pipe wants no words, but what was started must stop.
        with suppress(OSError):
            print(text, file=self._out, flush=True)
