"""The limits of connections and requests, and the watch over all connections of one process.

The watch looks at every connection twice a second. A timer for each request would cost more.
"""

from __future__ import annotations

import asyncio
import heapq
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from production_server.web.held import Held
from production_server.web.problems import Problem
from production_server.web.request_ids import RequestIds

# Files that a process needs besides its connections.
OTHER_FILES = 256
# The share of the idle connections that is closed at once when a new one finds no room.
CLEARED = 10


def most_connections() -> int:
    """1,000, or fewer if the process may not open as many files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1000 if soft == resource.RLIM_INFINITY else max(100, min(1000, soft - OTHER_FILES))


@dataclass(frozen=True)
class HttpLimits:
    """What one client may take."""

    connections: int = field(default_factory=most_connections)
    url_bytes: int = 16 << 10
    head_bytes: int = 32 << 10
    headers: int = 100
    head_seconds: float = 10.0
    # A body may take this long, plus a second for each `body_rate` bytes; slower clients stall.
    body_grace: float = 10.0
    body_rate: int = 16 << 10
    body_seconds: float = 1800.0
    # How long the rest of a body is discarded after an early answer, so that the client gets it.
    discard_seconds: float = 5.0
    # A client that takes no more of its answer for so long is disconnected.
    write_seconds: float = 10.0
    pipelined: int = 16
    # Bytes of all unfinished bodies for /predict; one address may hold half of them.
    held_bytes: int = 64 << 20
    tick: float = 0.5


class Connection(Protocol):
    """What the guard knows about a connection."""

    since: float
    requests: int

    @property
    def idle(self) -> bool: ...

    def check(self, now: float) -> None: ...

    def refuse(self, problem: Problem) -> None: ...

    def leave(self) -> None: ...

    def finish(self) -> None: ...


class Guard:
    """The connections of one process."""

    def __init__(
        self,
        limits: HttpLimits,
        on_refusal: Callable[[Problem, str, str | None], None],
        *,
        behind_proxy: bool = False,
    ) -> None:
        """`on_refusal` gets each problem of a connection, the request's ID and the address."""
        self.limits = limits
        # Whether all connections come from our own proxy.
        self.behind_proxy = behind_proxy
        # Whether each connection ends with its next answer.
        self.draining = False
        self.now = 0.0
        self.on_refusal = on_refusal
        self.ids = RequestIds()
        self.held = Held(limits.held_bytes)
        # Called when the service stops, for answers that would not end by themselves.
        self.on_stop: Callable[[], None] = lambda: None
        self._connections: set[Connection] = set()
        self._room = 0
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, connection: Connection) -> None:
        """Watch a new connection; without room for it, an idle one or the new one is closed."""
        if self._timer is None:
            self._watch()
        connection.since = self.now
        self._connections.add(connection)
        if len(self._connections) > self.limits.connections and not self._make_room(connection):
            connection.refuse(too_many(self.limits.connections))

    def exit(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def drain(self) -> None:
        """Let each connection end with the answer that it waits for, or else with its next one."""
        self.draining = True
        for connection in self._connections:
            connection.finish()

    def _make_room(self, new: Connection) -> bool:
        """Close the idle connections that sent no request, then those idle for longest."""
        if self._room == 0:
            idle = [one for one in self._connections if one.idle and one is not new]
            most = max(1, self.limits.connections // CLEARED)
            for one in heapq.nsmallest(most, idle, key=_age):
                one.leave()
                self._room += 1
        if self._room == 0:
            return False
        self._room -= 1
        return True

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self._room = 0
        for connection in list(self._connections):
            connection.check(self.now)
        again = bool(self._connections) or self._timer is None
        self._timer = loop.call_later(self.limits.tick, self._watch) if again else None


def _age(connection: Connection) -> tuple[bool, float]:
    return connection.requests > 0, connection.since


def too_many(limit: int) -> Problem:
    return Problem(
        503,
        "too_many_connections",
        f"{limit} connections are in use.",
        "Try again later, and reuse connections.",
        headers={"Retry-After": "1"},
    )
