"""What one client address may take of a limit that all clients share: half of it."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

# A client usually has a whole IPv6 network with a prefix of this length.
NETWORK_BITS = 64


def share_of(limit: int) -> int:
    """The part of a limit that one address may take; the rest is for others."""
    return max(1, limit // 2)


# Each connection asks many times, and to read an address takes 10 µs.
@lru_cache(maxsize=4096)
def origin_of(address: str | None) -> str:
    """The address, or for IPv6 its network: a client may have all addresses of one."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))


class NoPlace(Exception):
    """All places are taken, or the share of one address is."""

    def __init__(self, taken: int, *, by_address: bool) -> None:
        super().__init__(taken, by_address)
        self.taken = taken
        self.by_address = by_address


class Places:
    """A number of places for requests that take long; several threads may ask for one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._share = share_of(most)
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, address: str | None) -> Iterator[None]:
        """Hold a place, or raise NoPlace."""
        origin = origin_of(address)
        with self._lock:
            if self._taken.total() >= self._most:
                raise NoPlace(self._most, by_address=False)
            if self._taken[origin] >= self._share:
                raise NoPlace(self._share, by_address=True)
            self._taken[origin] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= Counter([origin])
