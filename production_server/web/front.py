"""The front of the web tier: answer-now requests here, on the event loop; the rest goes to Flask.

A request for a prediction costs one check, one append and one future. It holds no thread while it
waits, so hundreds can wait and become one batch. A large body is checked, and its answer written,
in slices, because pydantic holds the interpreter: a thread would not keep the loop free.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial

import orjson
from flask import Flask
from werkzeug.exceptions import HTTPException

from production_server.errors import QueueError, StackserveError
from production_server.messaging.batches import Answer, Ask, Outcome
from production_server.web import problems
from production_server.web.access import CALLER
from production_server.web.admission import Admission
from production_server.web.answers import answer, pieces
from production_server.web.bodies import (
    Incoming,
    Message,
    Receive,
    Scope,
    Send,
    check_content_type,
    query_values,
    too_large,
)
from production_server.web.choice import Choice
from production_server.web.current_model import Pinned
from production_server.web.events import EVENTS, with_events
from production_server.web.guard import Guard, HttpLimits
from production_server.web.hosts import trusted_hosts
from production_server.web.problems import Problem
from production_server.web.request_ids import REQUEST_ID
from production_server.web.row_limits import SLICE_BYTES, SLICE_ROWS
from production_server.web.row_slices import Arriving
from production_server.web.rows import Rows
from production_server.web.services import Services
from production_server.web.trying import Trying

log = logging.getLogger(__name__)

PREDICT = "/predict"
UNKNOWN = "unknown"
# A row with its names takes some 200 bytes of JSON; this leaves room for any spelling of it.
BYTES_A_ROW = 1024
# Answers hold what was sent about a person: no cache may keep them.
ANSWER_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
# Beyond this many waiting requests, more waiting only means more of them time out.
MOST_WAITING = 10_000


def settle(future: asyncio.Future[Answer], outcome: Outcome) -> None:
    """Give a waiting request its answer, unless it has ended."""
    if future.done():
        return
    if isinstance(outcome, Answer):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


class Front:
    """The ASGI application."""

    def __init__(self, services: Services, flask: Flask, limits: HttpLimits | None = None) -> None:
        self._services = services
        behind_proxy = services.settings.tls is not None
        limits = limits or HttpLimits()
        self.guard = Guard(limits, self._refused_connection, behind_proxy=behind_proxy)
        self._rest = with_events(services, flask, self.guard)
        self._route_of = partial(route_of, flask)
        self._log = services.requests
        self._hosts = trusted_hosts(services.settings)
        self._checks_host = bool(self._hosts)
        settings, access = services.settings, services.access
        self._checks_access = not access.anybody_predicts
        self._admission = (
            Admission(settings.rate_limit, settings.web_process_count, access)
            if settings.rate_limit
            else None
        )
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._max_body = min(
            services.settings.max_body_bytes, services.settings.max_rows * BYTES_A_ROW
        )
        self._choose = Choice(access, lambda: services.models)
        self._try = Trying(self._ask, lambda: services.copies, settings.deadline)
        metrics = services.metrics
        self._seconds = metrics.seconds.labels(PREDICT)
        self._answered = metrics.requests.labels(PREDICT, "200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            started = time.perf_counter()
            try:
                if self._checks_host:
                    self._hosts.check(scope)
                if self._admission is not None:
                    await self._admission.admit(scope)
                if scope["path"] == PREDICT:
                    await self._predict(scope, receive, send, started)
                else:
                    await self._rest(scope, receive, send)
            except Problem as problem:
                await self._refuse(scope, send, problem, started)
            except Exception:  # Flask answers its own in the same words
                log.exception("unexpected error in request %s", scope.get(REQUEST_ID))
                await self._refuse(scope, send, problems.internal_error(), started)
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

    async def _predict(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        try:
            if self._checks_access:
                await self._services.access.check_prediction(scope)
            # Read once: if the model changes during the request, two cards would mix.
            pinned = active = self._services.pinned
            trial = pinned.trial
            if trial is not None or b"version=" in scope["query_string"]:
                pinned = await self._choose(scope, pinned)
            rows = await self._rows(pinned, scope, receive)
            self._services.inputs.add(pinned.card, rows.packed, rows.count)
            request_id = scope.get(REQUEST_ID, "")
            if trial is None:
                said = await self._ask(pinned, rows, request_id)
            else:
                pinned, said = await self._try(active, trial, pinned, rows, request_id)
            self._answered.inc()
            if self._log.everything:
                self._note(scope, PREDICT, 200, started)
            if rows.count > SLICE_ROWS:
                await self._stream(send, pieces(pinned.card, said, rows.warnings))
            else:
                body = orjson.dumps(answer(pinned.card, said.rows(), rows.warnings))
                await respond(send, 200, b"application/json", body, head=scope["method"] == "HEAD")
        except QueueError as error:
            raise problems.of_queue(error) from error
        except StackserveError as error:
            raise problems.of_service(error) from error
        finally:
            self._seconds.observe(time.perf_counter() - started)

    async def _rows(self, pinned: Pinned, scope: Scope, receive: Receive) -> Rows:
        method = scope["method"]
        if method == "POST":
            check_content_type(scope)
            message = await receive()
            body = message.get("body", b"")
            if message.get("more_body") or message["type"] == "http.disconnect":
                return await self._rows_in_parts(pinned, scope, receive, message)
            if len(body) <= SLICE_BYTES:
                return pinned.schema.from_json(body)[0]
            if len(body) > self._max_body:
                raise too_large(self._max_body)
            steps = pinned.schema.steps(Arriving(bytearray(body), complete=True))
            return await self._checked(steps)
        if method in ("GET", "HEAD"):
            return pinned.schema.from_texts(query_values(scope["query_string"]))
        raise Problem(
            405,
            "method_not_allowed",
            f"{method} is not possible here.",
            "GET one row as a query, or POST one or many as JSON.",
            headers={"Allow": "GET, HEAD, POST"},
        )

    async def _rows_in_parts(
        self, pinned: Pinned, scope: Scope, receive: Receive, message: Message
    ) -> Rows:
        """The rows of a body that is not complete yet, or never will be."""
        incoming = Incoming(scope, receive, self._max_body, self.guard.held)
        try:
            incoming.add(message)
            return await self._checked(pinned.schema.steps(incoming.body), incoming.more)
        finally:
            incoming.release()

    async def _checked(
        self,
        steps: Generator[bool, None, Rows],
        more: Callable[[], Awaitable[None]] | None = None,
    ) -> Rows:
        """Check a body in slices. Only one request at a time has its turn on the loop."""
        while True:
            async with self._turn:
                try:
                    starved = next(steps)
                except StopIteration as end:
                    rows: Rows = end.value
                    return rows
            await (more() if more and starved else asyncio.sleep(0))

    async def _stream(self, send: Send, parts: Iterator[bytes]) -> None:
        """Send a large answer in slices, each made when the client has read those before."""
        headers = [(b"content-type", b"application/json"), *ANSWER_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while True:
            async with self._turn:
                part = next(parts, None)
            if part is None:
                break
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})

    async def _ask(self, pinned: Pinned, rows: Rows, request_id: str) -> Answer:
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
        done = partial(settle, said)
        lane.submit(Ask(pinned.version, rows.packed, rows.count, done, until, request_id))
        self._waiting += 1
        try:
            return await said
        finally:
            self._waiting -= 1

    def _refused_connection(self, problem: Problem, request_id: str, address: str | None) -> None:
        """A connection was refused, so there is no request that could be answered."""
        self._services.metrics.failures.labels(problem.code).inc()
        self._log.note(
            request_id=request_id,
            method="",
            route=UNKNOWN,
            status=problem.status,
            caller=None,
            address=address,
            seconds=0.0,
        )

    def _note(self, scope: Scope, route: str, status: int, started: float) -> None:
        client = scope.get("client")
        self._log.note(
            request_id=scope.get(REQUEST_ID),
            method=scope["method"],
            route=route,
            status=status,
            caller=scope.get(CALLER),
            address=client[0] if client else None,
            seconds=time.perf_counter() - started,
        )

    async def _refuse(self, scope: Scope, send: Send, problem: Problem, started: float) -> None:
        route = self._route_of(scope)
        self._services.metrics.requests.labels(route, str(problem.status)).inc()
        self._services.metrics.failures.labels(problem.code).inc()
        self._note(scope, route, problem.status, started)
        headers = [(name.lower().encode(), text.encode()) for name, text in problem.headers.items()]
        kind = problems.MEDIA_TYPE.encode()
        body = problem.body(scope.get(REQUEST_ID))
        await respond(send, problem.status, kind, body, headers=headers)


def route_of(flask: Flask, scope: Scope) -> str:
    """The template of a request's path, which has no values in it."""
    if scope["path"] in (PREDICT, EVENTS):
        return str(scope["path"])
    try:
        rule, _ = flask.url_map.bind("").match(scope["path"], scope["method"], return_rule=True)
    except HTTPException:
        return UNKNOWN
    return str(rule.rule)


async def respond(
    send: Send,
    status: int,
    kind: bytes,
    body: bytes,
    *,
    head: bool = False,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    lines = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        *ANSWER_HEADERS,
    ]
    await send(
        {"type": "http.response.start", "status": status, "headers": lines + (headers or [])}
    )
    await send({"type": "http.response.body", "body": b"" if head else body})
