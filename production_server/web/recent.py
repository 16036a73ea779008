"""A value that is expensive to get, kept for a short time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Calls a function at most once per period; until then, everyone gets the same value."""

    def __init__(self, seconds: float, get: Callable[[], T]) -> None:
        self._seconds = seconds
        self._get = get
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > self._seconds:
                value = self._get()
                self._kept = time.monotonic(), value
            return self._kept[1]
