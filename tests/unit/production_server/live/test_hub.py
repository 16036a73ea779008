"""One look a second for all who watch, and none without."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest

from production_server.live.hub import Hub

SECONDS = 0.02


class Looks:
    """Counts the looks, and gives what the test wants."""

    def __init__(self) -> None:
        self.count = 0
        self.failing = False

    def __call__(self) -> Mapping[str, str]:
        self.count += 1
        assert threading.current_thread() is not threading.main_thread()
        if self.failing:
            raise OSError("gone")
        return {"same": "always", "count": str(self.count)}


async def turns(hub: Hub, count: int) -> None:
    for _ in range(count):
        await asyncio.wait_for(asyncio.shield(hub.turn), 5)


def test_many_viewers_cost_one_look_and_none_costs_nothing() -> None:
    looks = Looks()

    async def watch() -> None:
        hub = Hub(looks, SECONDS)
        for _ in range(20):
            hub.join()
        await asyncio.gather(*[turns(hub, 3) for _ in range(20)])
        assert looks.count <= 4
        for _ in range(20):
            hub.leave()
        await asyncio.sleep(0.3)
        seen = looks.count
        await asyncio.sleep(0.3)
        assert looks.count == seen

    asyncio.run(watch())


def test_a_viewer_gets_what_has_changed_since() -> None:
    async def watch() -> None:
        hub = Hub(Looks(), SECONDS)
        hub.join()
        await turns(hub, 1)
        assert hub.since(0) == {"same": "always", "count": "1"}
        seen = hub.number
        # It missed two looks, and gets the newest only.
        await turns(hub, 3)
        assert hub.since(seen) == {"count": str(hub.number)}
        hub.leave()

    asyncio.run(watch())


def test_a_failed_look_is_logged_and_the_next_one_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks = Looks()
    looks.failing = True

    async def watch() -> None:
        hub = Hub(looks, SECONDS)
        hub.join()
        while looks.count < 2:
            await asyncio.sleep(SECONDS)
        assert hub.since(0) == {}
        looks.failing = False
        await turns(hub, 1)
        assert hub.since(0)
        hub.leave()

    asyncio.run(watch())
    assert "cannot be updated" in caplog.text


def test_closing_wakes_everybody_at_once() -> None:
    async def watch() -> None:
        hub = Hub(Looks(), 60)
        hub.join()
        await turns(hub, 1)
        waiting = [asyncio.ensure_future(turns(hub, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        hub.close()
        hub.close()
        await asyncio.wait_for(asyncio.gather(*waiting), 1)
        # Also for one who comes later.
        await asyncio.wait_for(turns(hub, 1), 1)

    asyncio.run(watch())
