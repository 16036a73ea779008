"""The lane joins the rows of many requests into few tasks, and splits the answers again.

One task carries everything that arrived during one iteration of the event loop. There is no timer:
a lone request is sent at once, and under load batches form by themselves. A batch never mixes model
versions. Everything happens on the event loop; other threads call `ask()`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from concurrent.futures import Future
from typing import Protocol

from celery import Celery

from production_server.errors import QueueError
from production_server.messaging.alarms import blocked_error, log_alarm
from production_server.messaging.batches import (
    CHECK_BROKER,
    CHECK_WORKERS,
    NO_ANSWER,
    NO_BROKER,
    Answer,
    Ask,
    Batch,
    Outcome,
    outcome_of,
    take_batches,
)
from production_server.messaging.link import CONNECTION_ERRORS, Link, Meta, open_link

RECONNECT_PAUSE = 0.5
TICK_SECONDS = 0.25
# How soon an idle process notices an alarm.
PROBE_SECONDS = 5.0
# RabbitMQ only tells of an alarm after a batch is published, and does not take that batch. Workers
# may still answer those before it.
ALARM_GRACE = 1.0


class Observer(Protocol):
    """Collects metrics."""

    def batch(self, rows: int, waited: float, inference: float) -> None:
        """A batch was answered."""

    def waiting(self, requests: int) -> None:
        """This many requests are waiting for an answer."""

    def blocked(self, blocked: bool) -> None:
        """An alarm of the broker began or ended."""


class Lane:
    """Sends rows from this process to the workers and returns their answers."""

    def __init__(
        self, app: Celery, deadline: float, *, window: int = 4, observer: Observer | None = None
    ) -> None:
        self._app = app
        self.deadline = deadline
        # Batches in flight. While this many are, new rows join the next batch. The limit also keeps
        # the socket's send buffer from filling up, so that sending never blocks the loop.
        self._window = window
        self._observer = observer
        self._waiting: deque[Ask] = deque()
        self._outstanding: dict[str, Batch] = {}
        self._flush_is_due = False
        self._link: Link | None = None
        # Why RabbitMQ accepts no messages from this process, such as "low on disk".
        self.alarm = ""
        self._probed = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._lost = asyncio.Event()

    def start(self) -> None:
        """Run on this thread's event loop; without one, start a thread with a loop."""
        try:
            self._run_on(asyncio.get_running_loop())
        except RuntimeError:
            loop = asyncio.new_event_loop()
            loop.call_soon(self._run_on, loop)
            self._thread = threading.Thread(target=loop.run_forever, name="lane", daemon=True)
            self._thread.start()
            self._loop = loop

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def connected(self) -> bool:
        return self._link is not None

    def submit(self, ask: Ask) -> None:
        """Send it with everything else that arrives in this iteration. Call it on the loop only."""
        self._waiting.append(ask)
        if not self._flush_is_due and self._loop is not None:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def ask(
        self,
        version: str,
        rows: bytes,
        count: int,
        deadline: float | None = None,
        request_id: str = "",
    ) -> Answer:
        """Send rows and wait for the answer. Call it from any thread but the loop's."""
        if self._loop is None:
            raise QueueError("the web tier is starting", "Try again in a second.")
        patience = deadline or self.deadline
        future: Future[Outcome] = Future()
        until = time.monotonic() + patience
        ask = Ask(version, rows, count, future.set_result, until, request_id)
        self._loop.call_soon_threadsafe(self.submit, ask)
        outcome = future.result(timeout=patience + 5)
        if isinstance(outcome, QueueError):
            raise outcome
        return outcome

    # On the loop

    def _run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks = [loop.create_task(self._keep_connected()), loop.create_task(self._tick())]

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon(self._loop.stop)

    async def _keep_connected(self) -> None:
        while True:
            try:
                link = await asyncio.to_thread(open_link, self._app)
            except CONNECTION_ERRORS:
                await asyncio.sleep(RECONNECT_PAUSE)
                continue
            self._lost.clear()
            loop = asyncio.get_running_loop()
            link.watch(loop, self._on_answers, self._on_lost, self._on_alarm)
            self._link = link
            self._flush()
            await self._lost.wait()

    async def _tick(self) -> None:
        """Enforce deadlines, keep the connection's heartbeat and look for an alarm."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._report_waiting()
            self._expire(now)
            if self._link is not None:
                try:
                    self._link.check_heartbeat()
                    if not self.alarm and now - self._probed > PROBE_SECONDS:
                        self._probed = now
                        self._link.probe()
                except CONNECTION_ERRORS as error:
                    self._link.close()
                    self._on_lost(error)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._link is None:
            return
        if self.alarm:
            self._refuse_waiting()
        while self._waiting and len(self._outstanding) < self._window:
            batch = next(take_batches(self._waiting, time.monotonic()), None)
            if batch is not None and not self._send(self._link, batch):
                return

    def _send(self, link: Link, batch: Batch) -> bool:
        batch.sent = time.monotonic()
        self._outstanding[batch.task] = batch
        try:
            link.send(batch, max(0.1, batch.until - batch.sent))
        except CONNECTION_ERRORS as error:
            link.close()
            self._on_lost(error)
            return False
        return True

    def _on_answers(self, answers: list[Meta]) -> None:
        for meta in answers:
            batch = self._outstanding.pop(str(meta["task_id"]), None)
            if batch is None:
                continue  # too late, or a duplicate after a redelivery
            outcome = outcome_of(meta)
            if isinstance(outcome, Answer) and self._observer is not None:
                waited = time.monotonic() - batch.sent
                self._observer.batch(batch.count, waited, outcome.seconds)
            batch.resolve(outcome)
        self._flush()

    def _on_lost(self, _error: Exception) -> None:
        """Send everything again that was in flight: answers cannot arrive on a new connection."""
        self._link = None
        self._set_alarm("")  # a new connection is only blocked once it has published
        for batch in reversed(self._outstanding.values()):
            self._waiting.extendleft(reversed(batch.asks))
        self._outstanding.clear()
        self._lost.set()

    def _on_alarm(self, reason: str) -> None:
        log_alarm(reason)
        self._set_alarm(reason)
        if self._loop is not None:
            self._loop.call_soon(self._flush)

    def _set_alarm(self, reason: str) -> None:
        self.alarm = reason
        if self._observer is not None:
            self._observer.blocked(bool(reason))

    def _refuse_waiting(self) -> None:
        refused, self._waiting = self._waiting, deque()
        for ask in refused:
            ask.done(blocked_error(self.alarm))

    def _report_waiting(self) -> None:
        if self._observer is not None:
            sent = sum(len(batch.asks) for batch in self._outstanding.values())
            self._observer.waiting(sent + len(self._waiting))

    def _expire(self, now: float) -> None:
        blocked = now - ALARM_GRACE if self.alarm else 0.0
        late = [
            batch
            for batch in self._outstanding.values()
            if batch.until <= now or batch.sent <= blocked
        ]
        for batch in late:
            del self._outstanding[batch.task]
            batch.resolve(
                blocked_error(self.alarm) if self.alarm else QueueError(NO_ANSWER, CHECK_WORKERS)
            )
        if self._link is None:
            expired = [ask for ask in self._waiting if ask.until <= now]
            self._waiting = deque(ask for ask in self._waiting if ask.until > now)
            for ask in expired:
                ask.done(QueueError(NO_BROKER, CHECK_BROKER))
        elif self._waiting:
            self._flush()
