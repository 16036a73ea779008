"""Ctrl-C at the right moments: never between a request that makes something and its answer.

Inside `shield` the first Ctrl-C or SIGTERM waits until the block is over, so that what was
made is known and can be removed; a second one does not wait.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, later if shielded."""

    def __init__(self, note: Callable[[str], None] = lambda text: None) -> None:
        self.note = note
        self.depth = 0
        self.pending = False

    @contextmanager
    def installed(self) -> Iterator[Interrupts]:
        """Handle the signals while the block runs (main thread only)."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._arrived)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Let the block finish before an interruption takes effect."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            if self.depth == 0 and self.pending:
                self.pending = False
                raise KeyboardInterrupt

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self.depth and not self.pending:
            self.pending = True
            self.note("Stopping after this request; press Ctrl-C again to stop at once.")
            return
        self.pending = False
        raise KeyboardInterrupt
