"""Handle Ctrl-C safely: never between a request that creates something and its response.

Inside `shield`, the first Ctrl-C or SIGTERM waits until the block ends, so that the created
resource is known and can be deleted. A second one takes effect at once. Signals arrive in the main
thread alone: whoever starts other threads that create something shields them all together.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, delayed while shielded."""

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
        """Delay an interrupt until the block has finished."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
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
