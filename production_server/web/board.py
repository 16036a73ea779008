"""What the operations page shows, as plain values: one look at everything.

The counters are those of all web processes, so every process shows the same.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import asdict
from typing import Any

from production_server.live.traffic import Reading, Traffic, between, reading
from production_server.web.services import Services

# Rates are averages over so many seconds.
WINDOW = 5.0
# The chart shows so many looks.
HISTORY = 120
# How long a page waits for a second reading, if nobody watches.
FIRST_SECONDS = 0.5


class Board:
    """Reads the figures of the service, and remembers the last two minutes of them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._readings: deque[Reading] = deque(maxlen=30)
        self._history: deque[tuple[float, float]] = deque(maxlen=HISTORY)

    def look(self) -> dict[str, Any]:
        """Everything, at this time. It may take a second."""
        with self._lock:
            traffic = self._traffic()
        pinned = self._services.pinned
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "traffic": asdict(traffic),
            "history": list(self._history),
            "models": {"active": self._services.registry.active(), "in_force": pinned.version},
        }

    def _traffic(self) -> Traffic:
        now = self._read()
        if self._readings and now.at - self._readings[-1].at > WINDOW:
            # Nobody has watched meanwhile.
            self._readings.clear()
            self._history.clear()
        if not self._readings:
            self._readings.append(now)
            time.sleep(FIRST_SECONDS)
            now = self._read()
        latest = between(self._readings[-1], now)
        self._history.append((latest.predictions, latest.failed))
        while len(self._readings) > 1 and now.at - self._readings[0].at > WINDOW:
            self._readings.popleft()
        traffic = between(self._readings[0], now)
        self._readings.append(now)
        return traffic

    def _read(self) -> Reading:
        return reading(time.monotonic(), self._services.metrics.families())
