"""A front without a queue behind it: every row is answered at once, with 0.25."""

from __future__ import annotations

import asyncio
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from flask import Flask
from prometheus_client import CollectorRegistry

from production_server.live.inputs import Inputs
from production_server.local.rabbitmq import free_port
from production_server.messaging.batches import Answer, Ask
from production_server.settings import Settings
from production_server.web.current_model import Pinned
from production_server.web.front import Front
from production_server.web.guard import HttpLimits
from production_server.web.metrics import Metrics
from production_server.web.request_log import RequestLog
from production_server.web.rows import RowSchema
from production_server.web.run import server_config
from production_server.web.services import Services
from tests.unit.production_server.web.callers import make_access
from tests.unit.production_server.web.cards import BINARY

Message = dict[str, Any]


class Lane:
    """Answers in the same turn of the loop."""

    deadline = 5.0

    def submit(self, ask: Ask) -> None:
        outputs = struct.pack("<f", 0.25) * ask.count
        asyncio.get_running_loop().call_soon(ask.done, Answer(ask.version, outputs, 1, 0.0))


def make_front(
    flask: Flask | None = None, limits: HttpLimits | None = None, **settings: Any
) -> Front:
    chosen = Settings(**settings)
    services: Any = SimpleNamespace(
        settings=chosen,
        access=make_access(chosen.access),
        metrics=Metrics(None, CollectorRegistry()),
        requests=RequestLog(chosen.request_log),
        inputs=Inputs(lambda: BINARY, lambda *_: None),
        lane=Lane(),
        pinned=Pinned(BINARY.version, BINARY, RowSchema(BINARY, chosen.max_rows)),
        start=lambda: None,
        stop=lambda: None,
    )
    return Front(cast(Services, services), flask or Flask("front"), limits)


@contextmanager
def serving(front: Front, **changes: Any) -> Iterator[int]:
    """Serve it on a free port, which this gives. `changes` are of Uvicorn's configuration."""
    config = server_config(front, Settings(port=free_port()))
    for name, value in changes.items():
        setattr(config, name, value)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield config.port
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


class Exchange:
    """One request to a front, and what it answered."""

    def __init__(
        self, method: str = "POST", path: str = "/predict", query: bytes = b"", **headers: str
    ) -> None:
        headers = {"host": "127.0.0.1:5100"} | headers
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
            "http_version": "1.1",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 5100),
        }
        self.sent: list[Message] = []

    async def run(self, front: Front, receive: Callable[[], Any]) -> None:
        async def send(message: Any) -> None:
            self.sent.append(message)

        await front(self.scope, receive, send)

    def send(self, front: Front, *parts: bytes) -> None:
        """Run it to its end; the body comes in these parts."""
        messages = iter(parts or (b"",))
        last = len(parts or (b"",))

        async def receive() -> Message:
            nonlocal last
            last -= 1
            return {"type": "http.request", "body": next(messages), "more_body": last > 0}

        asyncio.run(self.run(front, receive))

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])
