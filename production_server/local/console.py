"""The progress of a starting service: one line per step, with the time since the start."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TextIO


class Console:
    """Prints plain lines, for terminals, pipes and logs."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        elapsed = time.monotonic() - self._started
        self.say(f"[{elapsed:5.1f} s] {text}")

    def say(self, text: str) -> None:
        # Nobody reads a closed terminal or pipe, but the shutdown must still go on.
        with suppress(OSError):
            print(text, file=self._out, flush=True)
