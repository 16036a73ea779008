"""The limit of requests for each client, before anything else looks at a request.

A client is its token, however it sends that, or a person of an identity provider; all others are
known by their address. A token counts for the address until it has proved right, so that guesses
are limited as well, before they are looked at.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict

from production_server.access.policy import CLIENT_OWNER, Caller
from production_server.web.access import SESSION, Access
from production_server.web.bodies import Scope
from production_server.web.buckets import MOST_CLIENTS, Buckets
from production_server.web.problems import Problem
from production_server.web.shares import origin_of

# Load balancers and monitors ask these. The files of the pages are as cheap as a refusal.
EXEMPT = frozenset({"/ping", "/ready"})
STATIC = "/static/"
# A page that follows a job asks ten times in its first seconds.
SMALLEST_BURST = 20
BURST_SECONDS = 2.0


class Admission:
    """The limits of one web process. The event loop uses it."""

    def __init__(self, rate: float, processes: int, access: Access) -> None:
        self._rate = rate
        # The kernel spreads connections over the processes, which do not know of each other.
        share = rate / processes
        self._buckets = Buckets(share, max(SMALLEST_BURST, math.ceil(share * BURST_SECONDS)))
        self._access = access
        # Credentials that were right, as hashes.
        self._right: OrderedDict[int, None] = OrderedDict()

    async def admit(self, scope: Scope) -> None:
        """Raise a Problem if the client of this request has sent too many."""
        path = scope["path"]
        if path in EXEMPT or path.startswith(STATIC):
            return
        client = scope.get("client")
        origin = origin_of(client[0] if client else None)
        credentials = credentials_of(scope)
        if credentials is None:
            self._take(origin)
        else:
            await self._admit_with(credentials, origin, scope)

    async def _admit_with(self, credentials: bytes, origin: str, scope: Scope) -> None:
        mark = hash(credentials)
        known = mark in self._right
        if not known:
            self._take(origin)
        caller = await self._caller(scope)
        if caller is None:
            if known:
                # Revoked or expired since.
                self._right.pop(mark, None)
                self._take(origin)
            return
        if not known:
            self._buckets.give_back(origin)
        self._right[mark] = None
        self._right.move_to_end(mark)
        if len(self._right) > MOST_CLIENTS:
            self._right.popitem(last=False)
        if caller.owner is not None:
            self._take(caller.owner)

    async def _caller(self, scope: Scope) -> Caller | None:
        """Who has these credentials; None if they are wrong, which the route will say."""
        try:
            caller = await self._access.identify(scope)
        except Problem:
            return None
        anonymous = not caller.operates and (
            caller.owner is None or caller.owner.startswith(CLIENT_OWNER)
        )
        return None if anonymous else caller

    def _take(self, client: str) -> None:
        wait = self._buckets.take(client, time.monotonic())
        if wait:
            raise too_many_requests(self._rate, math.ceil(wait))


def credentials_of(scope: Scope) -> bytes | None:
    """What may prove who sent a request: a header, or cookies with a session."""
    session = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            found: bytes = value
            return found
        if name == b"cookie" and SESSION.encode() in value:
            session = value
    return session


def too_many_requests(rate: float, seconds: int) -> Problem:
    return Problem(
        429,
        "too_many_requests",
        f"More than {rate:g} requests per second came from this client.",
        f"Wait for {seconds} s, as Retry-After says. One request can carry many rows: POST a list "
        "to /predict, or a table to /jobs.",
        headers={"Retry-After": str(seconds), "Cache-Control": "no-store"},
    )
