"""The body of an answer-now request, read into memory within its limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from production_server.web.held import Held, Holder
from production_server.web.problems import Problem
from production_server.web.protocol import CONNECTION
from production_server.web.row_slices import Arriving
from production_server.web.shares import origin_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A row of a card with very many features fits in a body, not in a query.
MOST_QUERY_BYTES = 8192


def check_content_type(scope: Scope) -> None:
    """JSON only, which is also the default."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.split(b";")[0].strip().lower()
            if kind and kind != b"application/json":
                shown = kind.decode("latin-1")[:80]
                raise Problem(
                    415,
                    "unsupported_media_type",
                    f"{shown} is not supported.",
                    "Send application/json; use POST /jobs for CSV tables.",
                )


def query_values(query: bytes) -> dict[str, str]:
    """The one row of a query string."""
    if len(query) > MOST_QUERY_BYTES:
        raise Problem(
            414,
            "query_too_long",
            f"The query has more than {MOST_QUERY_BYTES} bytes.",
            "POST the row as JSON.",
        )
    return dict(parse_qsl(query.decode("ascii", "replace"), keep_blank_values=True))


class Incoming:
    """A body that comes in parts: its limits, and the parts that were not taken yet."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, held: Held) -> None:
        if length_of(scope) > limit:
            raise too_large(limit)
        self.body = Arriving(bytearray(), complete=False)
        self._receive = receive
        self._limit = limit
        self._size = 0
        self._held = held
        client = scope.get("client")
        self._holder = Holder(scope.get(CONNECTION), origin_of(client[0] if client else None))

    async def more(self) -> None:
        self.add(await self._receive())

    def add(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            raise Problem(400, "incomplete_body", "The body is incomplete.", "Send it again.")
        part = message.get("body", b"")
        self._held.add(self._holder, len(part))
        self._size += len(part)
        if self._size > self._limit:
            raise too_large(self._limit)
        self.body.data += part
        self.body.complete = not message.get("more_body")

    def release(self) -> None:
        """Its rows are checked, or refused."""
        self._held.release(self._holder)


def length_of(scope: Scope) -> int:
    """The declared length of a request's body; 0 if there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value[:20]) if value.isdigit() else 0
    return 0


def too_large(limit: int) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"The body exceeds {limit} bytes.",
        "Use POST /jobs for large tables.",
    )
