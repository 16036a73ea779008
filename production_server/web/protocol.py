"""HTTP on one connection: Uvicorn's protocol, with limits on what a client sends and how slowly."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from production_server.web.guard import Guard
from production_server.web.problems import MEDIA_TYPE, Problem
from production_server.web.request_ids import HEADER, REQUEST_ID
from production_server.web.uploads import DISCONNECTED

# The connection of a request, in its ASGI scope.
CONNECTION = "stackserve.connection"

# Who the client of our proxy is.
FORWARDED_FOR = b"x-forwarded-for"


class _Refused(Exception):
    """Leaves the parser; the client gets the connection's refusal."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. What runs for every request is short; the rest is left to `check`."""

    guard: Guard

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # When the current part of a request began, or the time without one.
        self.since = 0.0
        self.requests = 0
        self._idle_requests = -1
        self._head_size = 0
        self._data_size = 0
        self._received = 0
        self._refusal: Problem | None = None
        self._checked = 0.0
        self._answered_at: float | None = None
        self._unsent = 0
        self._unsent_since = 0.0
        self._paused_since: float | None = None

    # Called by the event loop

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.guard.behind_proxy:
            self.scheme = "https"
        self.guard.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.exit(self)
        self._tell_disconnected()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.requests
        self._data_size = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError:
            self.refuse(self._refusal or _malformed())
            return
        if self.requests == before:
            self._count(len(data))

    def _count(self, size: int) -> None:
        """Bytes that completed no head belong to a body, or to an incomplete head."""
        if self.cycle is not None and self.cycle.more_body:
            self._received += size
            return
        if self._head_size == 0:
            self.since = self.guard.now
        self._head_size += size
        limit = self.guard.limits.head_bytes
        # The first of these bytes may have been the end of the request before.
        if self._head_size - self._data_size > limit:
            self.refuse(_head_too_large(f"{limit} bytes"))

    def shutdown(self) -> None:
        self.guard.on_stop()
        super().shutdown()

    def pause_writing(self) -> None:
        self._paused_since = self.guard.now
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        super().resume_writing()

    # Called by the parser

    def on_headers_complete(self) -> None:
        limits = self.guard.limits
        if self._head_size + self._data_size > limits.url_bytes:
            self._check_head()
        if len(self.headers) > limits.headers:
            self._stop(_head_too_large(f"{limits.headers} lines"))
        if len(self.pipeline) >= limits.pipelined:
            self._stop(_too_many_at_once(limits.pipelined))
        self.requests += 1
        self._head_size = self._received = 0
        self._answered_at = None
        self.since = self.guard.now
        request_id = self.guard.ids.of(self.headers)
        self.scope[REQUEST_ID] = request_id  # type: ignore[literal-required]
        self.scope[CONNECTION] = self  # type: ignore[literal-required]
        if self.guard.behind_proxy:
            self._learn_client()
        super().on_headers_complete()
        if self.guard.draining:
            self.cycle.keep_alive = False
        # Uvicorn sends these with whatever the answer will be.
        self.cycle.default_headers = [
            *self.server_state.default_headers,
            (HEADER, request_id.encode()),
        ]

    def _learn_client(self) -> None:
        """Our proxy says who its client is. It replaces what that client claims to be."""
        for name, value in self.headers:
            if name == FORWARDED_FOR:
                self.scope["client"] = (value.decode("latin-1"), 0)
                return

    def on_response_complete(self) -> None:
        """As in Uvicorn, without a timer for each request: the guard closes idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _check_head(self) -> None:
        limits = self.guard.limits
        if len(self.url) > limits.url_bytes:
            self._stop(_url_too_long(limits.url_bytes))
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > limits.head_bytes:
            self._stop(_head_too_large(f"{limits.head_bytes} bytes"))

    # Called by the guard

    @property
    def idle(self) -> bool:
        """Whether no request has been read, nor is being answered."""
        cycle = self.cycle
        return cycle is None or (cycle.response_complete and not cycle.more_body)

    def leave(self) -> None:
        self.transport.close()

    def finish(self) -> None:
        """End with the answer under way, if its head can still say so, or else with the next."""
        if not self.idle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def check(self, now: float) -> None:
        """Disconnect a client that is too slow."""
        elapsed, self._checked = now - self._checked, now
        if self._reads_too_slowly(now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif not self.idle:
            if self.cycle.more_body:
                self._check_body(now, elapsed)
        elif self._head_size:
            seconds = self.guard.limits.head_seconds
            if now - self.since > seconds:
                self.refuse(_too_slow(f"The headers took more than {seconds:g} seconds."))
        elif self.requests != self._idle_requests:
            self._idle_requests, self.since = self.requests, now
        elif now - self.since > self.guard.limits.head_seconds:
            self.transport.close()

    def _check_body(self, now: float, elapsed: float) -> None:
        limits = self.guard.limits
        if self.cycle.response_complete:
            self._answered_at = self._answered_at or now
            if now - self._answered_at > limits.discard_seconds:
                self.transport.close()
        elif self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self.since += elapsed  # the client waits for the server
        elif now - self.since > min(
            limits.body_seconds, limits.body_grace + self._received / limits.body_rate
        ):
            rate = limits.body_rate
            self.refuse(_too_slow(f"The body arrives at less than {rate} bytes per second."))

    def _reads_too_slowly(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        since = self._unsent_since if self._paused_since is None else self._paused_since
        return unsent > 0 and now - since > self.guard.limits.write_seconds

    def refuse(self, problem: Problem) -> None:
        """Answer at once and close; just close if an earlier answer is under way."""
        if self.transport.is_closing():
            return
        waiting = self.cycle is not None and not self.cycle.response_complete
        reading = waiting and self.cycle.more_body and not self.pipeline
        request_id = self._id_of_refused(reading=reading)
        self.guard.on_refusal(problem, request_id, self.client[0] if self.client else None)
        self._tell_disconnected()
        if waiting and (self.cycle.response_started or not reading):
            self.transport.abort()
            return
        if waiting:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_response(problem, request_id, self.server_state.default_headers))
        self.transport.close()

    def _id_of_refused(self, *, reading: bool) -> str:
        """The ID of the request whose body arrives, or whose head was read, or a new one."""
        if reading:
            return str(self.cycle.scope[REQUEST_ID])  # type: ignore[literal-required]
        return self.guard.ids.of(self.headers if self._refusal else ())

    def _tell_disconnected(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.scope[DISCONNECTED] = True  # type: ignore[literal-required]

    def _stop(self, problem: Problem) -> None:
        self._refusal = problem
        raise _Refused


def guarded(guard: Guard) -> type[GuardedProtocol]:
    """The protocol for one process."""
    return type("Guarded", (GuardedProtocol,), {"guard": guard})


def _response(
    problem: Problem, request_id: str, default_headers: list[tuple[bytes, bytes]]
) -> bytes:
    body = problem.body(request_id)
    headers = [
        *default_headers,
        (HEADER, request_id.encode()),
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    lines = [name + b": " + value + b"\r\n" for name, value in headers]
    return b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body])


def _malformed() -> Problem:
    return Problem(400, "malformed_request", "The request is not valid HTTP.", "Use HTTP/1.1.")


def _url_too_long(limit: int) -> Problem:
    detail = f"The URL has more than {limit} bytes."
    return Problem(414, "url_too_long", detail, "POST the row as JSON.")


def _head_too_large(limit: str) -> Problem:
    detail = f"The request line and the headers have more than {limit}."
    return Problem(431, "headers_too_large", detail, "Send fewer or shorter headers.")


def _too_many_at_once(limit: int) -> Problem:
    detail = f"More than {limit} requests wait on this connection."
    remedy = "Read the answers first, or use more connections."
    return Problem(429, "too_many_pipelined", detail, remedy, headers={"Retry-After": "1"})


def _too_slow(detail: str) -> Problem:
    remedy = "Send the request again, over a faster connection."
    return Problem(408, "request_timeout", detail, remedy)
