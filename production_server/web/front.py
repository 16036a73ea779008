"""The front of the web tier: answer-now requests here, on the event loop; the rest goes to Flask.

A request for a prediction costs one check, one append and one future. It holds no thread while it
waits, so hundreds can wait and become one batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson
from a2wsgi import WSGIMiddleware
from flask import Flask

from production_server.errors import QueueError
from production_server.messaging.batches import Answer, Ask, Outcome
from production_server.web import problems
from production_server.web.answers import answer
from production_server.web.endpoints import (
    UNAVAILABLE,
    json_answer,
    json_content,
    operation,
    responses,
)
from production_server.web.problems import Problem
from production_server.web.rows import Rows
from production_server.web.services import Pinned, Services
from production_server.web.uploads import DISCONNECTED

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREDICT = "/predict"
# A row with its names takes some 200 bytes of JSON; this leaves room for any spelling of it.
BYTES_A_ROW = 1024
# Beyond this many waiting requests, more waiting only means more of them time out.
MOST_WAITING = 10_000
# Threads for Flask's pages and jobs; answer-now requests need none.
FLASK_THREADS = 16
# A client that sends nothing for so long in the middle of a body is taken to have gone.
STALL_SECONDS = 60.0


def settle(future: asyncio.Future[Answer], outcome: Outcome) -> None:
    """Give a waiter its answer; one that went away is passed over."""
    if future.done():
        return
    if isinstance(outcome, Answer):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


class Front:
    """The ASGI application."""

    def __init__(self, services: Services, flask: Flask) -> None:
        self._services = services
        self._rest = WSGIMiddleware(flask, workers=FLASK_THREADS)
        self._waiting = 0
        self._max_body = min(
            services.settings.max_body_bytes, services.settings.max_rows * BYTES_A_ROW
        )
        metrics = services.metrics
        self._seconds = metrics.seconds.labels(PREDICT)
        self._answered = metrics.requests.labels(PREDICT, "200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if scope["path"] == PREDICT:
                await self._predict(scope, receive, send)
            else:
                await self._rest(scope, for_flask(scope, receive), send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._services.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self._services.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        try:
            body = await self._answer(scope, receive)
            self._answered.inc()
            await respond(send, 200, b"application/json", body, head=scope["method"] == "HEAD")
        except Problem as problem:
            await self._refuse(send, problem)
        except QueueError as error:
            await self._refuse(send, problems.of_queue(error))
        finally:
            self._seconds.observe(time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        method = scope["method"]
        # One look at the model in force: a switch in mid-request must not mix two cards.
        pinned = self._services.pinned
        if method == "POST":
            check_content_type(scope)
            rows, _ = pinned.schema.from_json(await read_body(scope, receive, self._max_body))
        elif method in ("GET", "HEAD"):
            query = scope["query_string"].decode("ascii", "replace")
            rows = pinned.schema.from_texts(dict(parse_qsl(query, keep_blank_values=True)))
        else:
            raise Problem(
                405,
                "method_not_allowed",
                f"{method} is not possible here.",
                "GET one row as a query, or POST one or many as JSON.",
                headers={"Allow": "GET, HEAD, POST"},
            )
        return orjson.dumps(await self._ask(pinned, rows))

    async def _ask(self, pinned: Pinned, rows: Rows) -> dict[str, Any]:
        if self._waiting >= MOST_WAITING:
            raise Problem(
                429,
                "too_many_waiting",
                f"{MOST_WAITING} requests wait already.",
                "Try again later, or use POST /jobs for large tables.",
                headers={"Retry-After": "1"},
            )
        lane = self._services.lane
        said: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        until = time.monotonic() + lane.deadline
        lane.submit(Ask(pinned.version, rows.packed, rows.count, partial(settle, said), until))
        self._waiting += 1
        try:
            outputs = (await said).rows()
        finally:
            self._waiting -= 1
        return answer(pinned.card, outputs, rows.warnings)

    async def _refuse(self, send: Send, problem: Problem) -> None:
        metrics = self._services.metrics
        metrics.requests.labels(PREDICT, str(problem.status)).inc()
        metrics.failures.labels(problem.code).inc()
        headers = [(name.lower().encode(), text.encode()) for name, text in problem.headers.items()]
        kind = problems.MEDIA_TYPE.encode()
        await respond(send, problem.status, kind, problem.body(), headers=headers)


def for_flask(scope: Scope, receive: Receive) -> Receive:
    """A receive that leaves word of a client that went away.

    To WSGI a broken body of unknown length looks like one that has ended.
    """

    async def receive_here() -> MutableMapping[str, Any]:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message = await receive()
        except TimeoutError:
            message = {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            scope[DISCONNECTED] = True
        return message

    return receive_here


def check_content_type(scope: Scope) -> None:
    """JSON only; a client that says nothing means JSON."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.split(b";")[0].strip().lower()
            if kind and kind != b"application/json":
                shown = kind.decode("latin-1")
                raise Problem(
                    415,
                    "unsupported_media_type",
                    f"{shown} is not read here.",
                    "Send application/json; CSV tables go to POST /jobs.",
                )


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "incomplete_body", "The body ended early.", "Send it again.")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Problem(
                413,
                "body_too_large",
                f"The body exceeds {limit} bytes.",
                "Send large tables to POST /jobs.",
            )
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def respond(
    send: Send,
    status: int,
    kind: bytes,
    body: bytes,
    *,
    head: bool = False,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    lines = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": status, "headers": lines + (headers or [])}
    )
    await send({"type": "http.response.body", "body": b"" if head else body})


def openapi_paths(pinned: Pinned) -> dict[str, Any]:
    """The OpenAPI description of the route above."""
    row = {"$ref": "#/components/schemas/Row"}
    fields = pinned.schema.one.json_schema()["properties"]
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": pinned.schema.max_rows}
    refused = {
        400: "The request cannot be read",
        422: "A value is missing, not a number, not finite or impossible; or a name is unknown",
        429: "Too many requests are waiting; try again after Retry-After",
        **UNAVAILABLE,
    }
    refused_body = {
        413: "Too many rows or bytes for one request; use POST /jobs",
        415: "The body is not application/json",
    }
    return {
        PREDICT: {
            "get": operation(
                "predict_one",
                "Predict one row",
                responses({200: json_answer("The prediction")}, refused),
                parameters=[
                    {"name": name, "in": "query", "required": True, "schema": schema}
                    for name, schema in fields.items()
                ],
            ),
            "post": operation(
                "predict",
                "Predict one row or a list of rows",
                responses(
                    {200: json_answer("One prediction per row, in the same order")},
                    {**refused, **refused_body},
                ),
                body=json_content({"anyOf": [row, many]}),
            ),
        }
    }
