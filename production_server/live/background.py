"""A value that takes long to get: read in a thread of its own, while the last one still serves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Background(Generic[T]):
    """Reads again when it is asked and the value is older than this; never by itself."""

    def __init__(self, seconds: float, read: Callable[[], T]) -> None:
        self._seconds = seconds
        self._read = read
        self._lock = threading.Lock()
        self._reading: threading.Thread | None = None
        self._value: T | None = None
        self._when = -float("inf")

    def __call__(self, patience: float = 0.0) -> T | None:
        """The newest value. Waits for it only if there is none, or a very old one."""
        age = time.monotonic() - self._when
        if age > self._seconds:
            reading = self._begin()
            if age > 5 * self._seconds:
                reading.join(patience)
        return self._value

    def _begin(self) -> threading.Thread:
        with self._lock:
            if self._reading is None or not self._reading.is_alive():
                self._reading = threading.Thread(target=self._run, name="background", daemon=True)
                self._reading.start()
            return self._reading

    def _run(self) -> None:
        try:
            self._value = self._read()
        except Exception:  # the page shows what else is known
            log.exception("part of the operations page cannot be read")
            self._value = None
        self._when = time.monotonic()
