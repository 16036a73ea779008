"""The body of an answer-now request, read into memory within its limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from production_server.web.guard import Guard, Holder
from production_server.web.problems import Problem
from production_server.web.protocol import CONNECTION

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


@contextmanager
def held(guard: Guard, scope: Scope) -> Iterator[Holder]:
    """Count the bytes of a body that comes in parts, until its rows are checked."""
    holder = Holder(scope.get(CONNECTION))
    try:
        yield holder
    finally:
        guard.release(holder)


async def read_rest(
    scope: Scope, receive: Receive, limits: BodyLimits, holder: Holder, body: bytearray
) -> bytearray:
    """A body that comes in parts, of which this is the first."""
    if length_of(scope) > limits.size:
        raise too_large(limits.size)
    limits.guard.hold(holder, len(body))
    while True:
        limits.check_start(body)
        if len(body) > limits.size:
            raise too_large(limits.size)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "incomplete_body", "The body is incomplete.", "Send it again.")
        part = message.get("body", b"")
        limits.guard.hold(holder, len(part))
        body += part
        if not message.get("more_body"):
            return body


@dataclass(frozen=True)
class BodyLimits:
    """How much a body may hold, in bytes; what its beginning must be; and who counts it."""

    size: int
    check_start: Callable[[bytearray], None]
    guard: Guard


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
