"""Flask behind the event loop: threads for pages, for uploads and for results apart.

A client that sends or reads slowly holds a thread, but never one that pages and /ready need.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from a2wsgi import WSGIMiddleware
from flask import Flask

from production_server.web.bodies import Receive, Scope, Send
from production_server.web.problems import RETRY_SECONDS, Problem
from production_server.web.uploads import DISCONNECTED, MOST_UPLOADS

# Paths that take large bodies.
UPLOADS = frozenset({"/jobs", "/models", "/training"})
PAGE_THREADS = 16
# Some more than may upload: those get their 429 at once.
UPLOAD_THREADS = MOST_UPLOADS + 2
RESULT_THREADS = 8
# Results that are sent, or wait for a thread.
MOST_RESULTS = 32


class FlaskPools:
    """The ASGI application for everything except /predict."""

    def __init__(self, flask: Flask) -> None:
        app = stopping(flask, nullcontext())
        self._pages = WSGIMiddleware(app, workers=PAGE_THREADS)
        self._uploads = WSGIMiddleware(app, workers=UPLOAD_THREADS)
        # Formatting rows is work. If every thread did it at once, each would take its turn before
        # the event loop gets the next one.
        self._results = WSGIMiddleware(stopping(flask, threading.Lock()), workers=RESULT_THREADS)
        self._sending = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path in UPLOADS:
            await self._uploads(scope, for_flask(scope, receive), send)
        elif path.startswith("/jobs/") and path.endswith("/result"):
            await self._result(scope, receive, send)
        else:
            await self._pages(scope, for_flask(scope, receive), send)

    async def _result(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sending >= MOST_RESULTS:
            raise Problem(
                429,
                "too_many_downloads",
                f"{MOST_RESULTS} results are being sent already.",
                "Try again later.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._sending += 1
        try:
            await self._results(scope, for_flask(scope, receive), send)
        finally:
            self._sending -= 1


def for_flask(scope: Scope, receive: Receive) -> Receive:
    """Note in the scope when the client disconnects.

    To WSGI, an incomplete body of unknown length looks like one that has ended.
    """

    async def receive_here() -> MutableMapping[str, Any]:
        message = await receive()
        if message["type"] == "http.disconnect":
            scope[DISCONNECTED] = True
        return message

    return receive_here


def stopping(app: Any, turn: AbstractContextManager[Any]) -> Any:
    """The WSGI application, but its answer ends when the client disconnects.

    Each piece of the answer is made within `turn`.
    """

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return Stopping(app(environ, start_response), environ["asgi.scope"], turn)

    return application


class Stopping:
    """The pieces of one answer."""

    def __init__(
        self, pieces: Iterable[bytes], scope: Scope, turn: AbstractContextManager[Any]
    ) -> None:
        self._pieces = pieces
        self._scope = scope
        self._turn = turn

    def __iter__(self) -> Iterator[bytes]:
        pieces = iter(self._pieces)
        while True:
            with self._turn:
                piece = next(pieces, None)
            if piece is None or self._scope.get(DISCONNECTED):
                return
            yield piece

    def close(self) -> None:
        getattr(self._pieces, "close", lambda: None)()
