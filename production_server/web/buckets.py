"""Token buckets: how many requests each client may send. Nothing here does I/O or knows the time.

A bucket holds `burst` requests, and gets `rate` more per second until it is full again. All that is
kept of it is the moment when it will be full, and only of the clients that asked last: the others
are full again, unless more than `most` clients ask within the time that it takes to fill a bucket.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_CLIENTS = 10_000


class Buckets:
    """The buckets of all clients. One thread uses them."""

    def __init__(self, rate: float, burst: int, most: int = MOST_CLIENTS) -> None:
        self._interval = 1 / rate
        self._filling = burst / rate
        self._most = most
        self._full: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full)

    def take(self, client: str, now: float) -> float:
        """Take a request out of a client's bucket: 0, or the seconds until there is one."""
        full = self._full.get(client, now)
        full = (full if full > now else now) + self._interval
        wait = full - now - self._filling
        if wait > 1e-9:  # rounding
            self._full.move_to_end(client)
            return wait
        self._full[client] = full
        self._full.move_to_end(client)
        if len(self._full) > self._most:
            self._full.popitem(last=False)
        return 0.0

    def give_back(self, client: str) -> None:
        """Undo a `take`."""
        if client in self._full:
            self._full[client] -= self._interval
