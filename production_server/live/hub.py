"""One look at the service for all who watch it, and none while nobody does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

SECONDS = 1.0

Parts = Mapping[str, str]


class Hub:
    """Calls `look` once a second while somebody watches, and keeps the newest of each part.

    A viewer who is slow skips what happened meanwhile; nothing is queued for anybody.
    Everything but `look` happens on the event loop.
    """

    def __init__(self, look: Callable[[], Parts], seconds: float = SECONDS) -> None:
        """`look` runs in a thread."""
        self._look = look
        self._seconds = seconds
        self._viewers = 0
        self._task: asyncio.Task[None] | None = None
        # What is known of each part, and the number of the look that changed it last.
        self._parts: dict[str, tuple[int, str]] = {}
        self.number = 0
        self.closed = False
        self._turn: asyncio.Future[None] | None = None

    @property
    def turn(self) -> asyncio.Future[None]:
        """Done as soon as there is something new, or the service stops."""
        if self._turn is None:
            self._turn = asyncio.get_running_loop().create_future()
            if self.closed:
                self._turn.set_result(None)
        return self._turn

    def join(self) -> None:
        self._viewers += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def leave(self) -> None:
        self._viewers -= 1

    def since(self, number: int) -> dict[str, str]:
        """The parts that have changed after this look."""
        return {name: text for name, (when, text) in self._parts.items() if when > number}

    def close(self) -> None:
        """Let all viewers go: the service stops."""
        self.closed = True
        self._tell()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._viewers and not self.closed:
            began = loop.time()
            try:
                parts = await asyncio.to_thread(self._look)
            except Exception:  # viewers would wait for ever, and never learn why
                log.exception("the operations page cannot be updated")
            else:
                self._keep(parts)
                self._tell()
            await asyncio.sleep(max(0.1, self._seconds - (loop.time() - began)))
        self._task = None
        # The next viewer must not get this as news.
        self._parts.clear()

    def _keep(self, parts: Parts) -> None:
        self.number += 1
        for name, text in parts.items():
            if name not in self._parts or self._parts[name][1] != text:
                self._parts[name] = self.number, text

    def _tell(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)
        if not self.closed:
            self._turn = None
