"""The events of the operations page, for one viewer who does not read what is sent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from production_server.access.policy import Caller, Scope
from production_server.live.hub import Hub
from production_server.web.events import EVENTS, Events
from production_server.web.metrics import Metrics
from production_server.web.protocol import CONNECTION


class Stuck:
    """A connection that takes nothing more, until somebody aborts it."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()
        self.transport = SimpleNamespace(abort=self.aborted.set)

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            await self.aborted.wait()

    async def receive(self) -> Any:
        await self.aborted.wait()
        return {"type": "http.disconnect"}


async def nothing(*_: Any) -> None:
    raise AssertionError("another route was asked")


async def operator(_: Any) -> Caller:
    return Caller("me", frozenset(Scope))


def test_the_end_of_the_service_does_not_wait_for_a_viewer_who_is_stuck() -> None:
    async def watch() -> None:
        services: Any = SimpleNamespace(
            metrics=Metrics(None, CollectorRegistry()),
            access=SimpleNamespace(identify=operator),
            requests=SimpleNamespace(note=lambda **_: None),
        )
        hub, stuck = Hub(lambda: {"a": "b"}, 0.01), Stuck()
        events = Events(services, hub, nothing)
        scope = {"path": EVENTS, "method": "GET", "client": None, CONNECTION: stuck}
        answering = asyncio.ensure_future(events(scope, stuck.receive, stuck.send))
        await asyncio.sleep(0.5)
        assert not answering.done()
        assert hub.number > 1, "the looks go on for others"
        hub.close()
        await asyncio.wait_for(answering, 1)
        assert stuck.aborted.is_set()

    asyncio.run(watch())
