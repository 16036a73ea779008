"""The ID of a request: the client's own, or a new one. Each answer and each log line names it."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterable

from flask import request

HEADER = b"x-request-id"
# The ID of a request, in its ASGI scope.
REQUEST_ID = "stackserve.request_id"
LONGEST = 64
USABLE = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % LONGEST)


class RequestIds:
    """The IDs that one process gives: what they start with is random, and the rest counts."""

    def __init__(self) -> None:
        self._start = secrets.token_hex(5)
        self._next = itertools.count(1).__next__

    def new(self) -> str:
        return f"{self._start}-{self._next():x}"

    def of(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The ID in these headers, unless it could be something else than an ID."""
        for name, value in headers:
            if name == HEADER and USABLE.fullmatch(value):
                return value.decode()
        return self.new()


def current_id() -> str | None:
    """The ID of the request that Flask answers now; None without the event loop in front of it."""
    found: str | None = request.environ.get("asgi.scope", {}).get(REQUEST_ID)
    return found
