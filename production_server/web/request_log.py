"""The request log: a line of JSON for a request, without values, tokens or addresses of pages."""

from __future__ import annotations

import logging
import time
from typing import Literal

import orjson

from production_server.access.policy import Caller
from production_server.web.buckets import Buckets

log = logging.getLogger("stackserve.requests")

Which = Literal["on", "errors", "off"]
# What goes wrong on this side, and what tells of somebody who tries.
ERRORS = frozenset({401, 403, 429})
# Somebody who sends requests only to have them refused must not fill the disk.
LINES_PER_SECOND = 100
FLOOD = "flood"


class RequestLog:
    """The log of one process."""

    def __init__(self, which: Which) -> None:
        self.which = which
        self.everything = which == "on"
        self._lines = Buckets(LINES_PER_SECOND, 2 * LINES_PER_SECOND)
        self._left_out = 0

    def wants(self, status: int) -> bool:
        if self.which == "errors":
            return status >= 500 or status in ERRORS
        return self.everything

    def note(
        self,
        *,
        request_id: str | None,
        method: str,
        route: str,
        status: int,
        caller: Caller | None,
        address: str | None,
        seconds: float,
    ) -> None:
        """Log a request, if the setting wants it."""
        if not self.wants(status):
            return
        line: dict[str, str | int | float | None] = {
            "id": request_id,
            "method": method,
            "route": route,
            "status": status,
            "who": (caller.owner or caller.name) if caller else "anonymous",
            "address": address,
            "ms": round(seconds * 1000, 2),
        }
        if not self.everything:
            if self._lines.take(FLOOD, time.monotonic()):
                self._left_out += 1
                return
            if self._left_out:
                line["left_out"], self._left_out = self._left_out, 0
        # JSON escapes line breaks, so that nobody can forge a line.
        log.info("%s", orjson.dumps(line).decode())
