"""GET /operations/events: server-sent events on the event loop. No viewer holds a thread."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any, Protocol

import orjson
from flask import Flask

from production_server.access.policy import Scope
from production_server.live.hub import Hub
from production_server.web.access import CALLER, check_scope
from production_server.web.bodies import Receive, Send
from production_server.web.bodies import Scope as AsgiScope
from production_server.web.flask_pools import FlaskPools
from production_server.web.guard import Guard
from production_server.web.problems import Problem
from production_server.web.protocol import CONNECTION
from production_server.web.request_ids import REQUEST_ID
from production_server.web.services import Services
from production_server.web.shares import NoPlace, Places

EVENTS = "/operations/events"
# In one web process. Each takes a connection and, once a second, some 10 microseconds.
MOST_VIEWERS = 40
# How often a viewer's right is checked again: a token may expire or be revoked.
CHECK_SECONDS = 5.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    # nginx passes each event on at once, ours and any other in between.
    (b"x-accel-buffering", b"no"),
]


class Rest(Protocol):
    """The ASGI application that has all other routes."""

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None: ...


class Events:
    """The ASGI application for this route, in front of the others."""

    def __init__(self, services: Services, hub: Hub, rest: Rest) -> None:
        self._services = services
        self._hub = hub
        self._rest = rest
        self._places = Places(MOST_VIEWERS)
        self._counted = services.metrics.requests.labels(EVENTS, "200")

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["path"] != EVENTS:
            await self._rest(scope, receive, send)
            return
        if scope["method"] != "GET":
            raise Problem(
                405,
                "method_not_allowed",
                f"{scope['method']} is not possible here.",
                "GET the events.",
                headers={"Allow": "GET"},
            )
        await self._check(scope)
        client = scope.get("client")
        try:
            with self._places.take(client[0] if client else None):
                await self._serve(scope, receive, send)
        except NoPlace as full:
            raise too_many_viewers(full) from None

    async def _check(self, scope: AsgiScope) -> None:
        check_scope(await self._services.access.identify(scope), Scope.OPERATE)

    async def _serve(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._counted.inc()
        gone = asyncio.ensure_future(_disconnected(receive))
        self._hub.join()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._stream(scope, send, gone)
        finally:
            self._hub.leave()
            gone.cancel()
            self._note(scope, started)

    async def _stream(self, scope: AsgiScope, send: Send, gone: asyncio.Future[None]) -> None:
        hub = self._hub
        loop = asyncio.get_running_loop()
        checked, seen = loop.time(), 0
        body = b"retry: 2000\n\n"
        while True:
            sending = asyncio.ensure_future(send(_piece(body)))
            while not sending.done() and not hub.closed:
                await asyncio.wait({sending, hub.turn}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                # It does not read what it has got, and the service stops.
                scope[CONNECTION].transport.abort()
            await sending
            if not gone.done() and not (seen < hub.number and hub.since(seen)):
                await asyncio.wait({hub.turn, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() or hub.closed:
                break
            if loop.time() - checked > CHECK_SECONDS:
                checked = loop.time()
                try:
                    await self._check(scope)
                except Problem:
                    break  # the client asks again, and is told why
            body, seen = _event(hub.since(seen)), hub.number
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    def _note(self, scope: AsgiScope, started: float) -> None:
        client = scope.get("client")
        self._services.requests.note(
            request_id=scope.get(REQUEST_ID),
            method="GET",
            route=EVENTS,
            status=200,
            caller=scope.get(CALLER),
            address=client[0] if client else None,
            seconds=time.perf_counter() - started,
        )


def with_events(services: Services, flask: Flask, guard: Guard) -> Rest:
    """This route and those of Flask. The hub is that of the page, so both show the same."""
    hub = flask.extensions.get(Hub.__name__)
    if hub is None:
        return FlaskPools(flask)
    guard.on_stop = hub.close
    return Events(services, hub, FlaskPools(flask))


def too_many_viewers(full: NoPlace) -> Problem:
    whose = " from this address" if full.by_address else ""
    return Problem(
        429,
        "too_many_viewers",
        f"{full.taken} people{whose} watch already.",
        "Close another window with this page, or try again later.",
        headers={"Retry-After": "5"},
    )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _piece(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


def _event(parts: dict[str, str]) -> bytes:
    """One event: the parts of the page that have changed. JSON has no line breaks."""
    return b"event: parts\ndata: " + orjson.dumps(parts) + b"\n\n"
