"""The bytes of unfinished requests: limited in all, and for each address."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

from production_server.web.problems import Problem
from production_server.web.shares import share_of

FROM_ONE = "from your address "


class Refusable(Protocol):
    """A connection whose request can be refused."""

    def refuse(self, problem: Problem) -> None: ...


@dataclass(eq=False)
class Holder:
    """An unfinished request, and how many bytes of it have arrived."""

    connection: Refusable | None
    origin: str
    size: int = 0


class Held:
    """All holders, the oldest first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._share = share_of(limit)
        self._holders: dict[Holder, None] = {}
        self._sizes: Counter[str] = Counter()

    def add(self, holder: Holder, size: int) -> None:
        """Count more bytes of a request; over a limit, the oldest request is refused."""
        self._holders.setdefault(holder)
        holder.size += size
        self._sizes[holder.origin] += size
        while excess := self._excess(holder.origin):
            oldest, problem = excess
            self.release(oldest)
            if oldest is holder or oldest.connection is None:
                raise problem
            oldest.connection.refuse(problem)

    def _excess(self, origin: str) -> tuple[Holder, Problem] | None:
        """The request to refuse, and why."""
        if self._sizes[origin] > self._share:
            return next(one for one in self._holders if one.origin == origin), busy(FROM_ONE)
        if self._sizes.total() > self._limit:
            return next(iter(self._holders)), busy("")
        return None

    def release(self, holder: Holder) -> None:
        if self._holders.pop(holder, holder) is None:
            self._sizes -= Counter({holder.origin: holder.size})
            holder.size = 0


def busy(whose: str) -> Problem:
    return Problem(
        503,
        "too_many_bodies",
        f"Too many large requests {whose}are incomplete.",
        "Try again later, or use POST /jobs for large tables.",
        headers={"Retry-After": "2"},
    )
