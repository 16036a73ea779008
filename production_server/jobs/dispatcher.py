"""The dispatcher: sends the chunks of accepted jobs to the workers, a limited number at a time.

It remembers in memory which chunks are in flight. After a restart, it sends all chunks without an
outcome again. That is harmless, because the store counts each chunk once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from production_server.errors import QueueError
from production_server.jobs.records import Outcome, Payload, delivery_limit_error
from production_server.jobs.retries import Chunk, Retries
from production_server.jobs.store import Store

log = logging.getLogger(__name__)

# Enough to keep 16 workers busy between two polls of the store, and few enough to cancel a job
# quickly and to repeat them after a crash.
IN_FLIGHT = 32
POLL = 0.2  # seconds; how soon a job from another process is noticed
# A chunk that has no outcome after this many seconds, while the queue is empty, is lost: somebody
# deleted the broker's data. The time doubles with each attempt, in case the model is that slow.
PATIENCE = 60.0
RECHECK = 5.0
RETRY = 1.0


@dataclass
class Flight:
    """A chunk in flight: when it was last sent, and how often."""

    sent: float
    times: int = 1

    def overdue(self, now: float) -> bool:
        return now - self.sent > PATIENCE * (1 << self.times - 1)


def share_slots(waiting: Iterable[str], flying: Counter[str], slots: int) -> dict[str, int]:
    """How many more chunks each job may send. Jobs with the fewest chunks in flight come first.

    So a small job does not have to wait until a large one is done.
    """
    count = {job: flying[job] for job in waiting}
    before = dict(count)
    for _ in range(slots if count else 0):
        count[min(count, key=count.__getitem__)] += 1
    return {job: now - before[job] for job, now in count.items() if now > before[job]}


class Dispatcher:
    """Runs in one thread. `publish` sends a chunk, and `queued` counts those in the queue."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[Payload], None],
        queued: Callable[[], int],
        *,
        in_flight: int = IN_FLIGHT,
        one_process: bool = False,
    ) -> None:
        """With `one_process`, the worker runs in this process, so a chunk that kills it kills both.

        Without a broker, the store counts the attempts. After a crash, the chunks that were in
        flight are sent one at a time, to find the one that kills the process.
        """
        self._store = store
        self._publish = publish
        self._queued = queued
        self._in_flight = in_flight
        self._one_process = one_process
        self._suspects: deque[tuple[str, int, int]] | None = None if one_process else deque()
        self._flying: dict[Chunk, Flight] = {}
        self._retries = Retries()
        self._failures: deque[tuple[Chunk, str]] = deque()
        self._checked = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=10)
        if self._one_process:
            for job, number in self._flying:
                self._store.attempt(job, [number], -1)

    def wake(self) -> None:
        """Check the store now: an outcome was recorded or a job accepted."""
        self._wake.set()

    def retry(self, job: str, number: int, reason: str) -> None:
        """A worker could not try this chunk. Send it again later. Call it from any thread."""
        self._failures.append(((job, number), reason))
        self._wake.set()

    def _run(self) -> None:
        healthy = True
        while not self._stopping.is_set():
            try:
                self.tick(time.monotonic())
                healthy = True
                self._wait()
            except Exception as error:  # if this thread ended, every job would wait for ever
                if healthy or not isinstance(error, (QueueError, SQLAlchemyError)):
                    log.exception("cannot send chunks; retrying every %g s", RETRY)
                healthy = False
                self._stopping.wait(RETRY)

    def _wait(self) -> None:
        """Wait until there may be something to do, with almost no load on an idle machine."""
        until = time.monotonic() + RECHECK
        while not self._wake.wait(POLL):
            if time.monotonic() > until or self._store.changed():
                break
        self._wake.clear()

    def tick(self, now: float) -> None:
        """Compare the store with the chunks in flight, and send what there is room for."""
        waiting = self._store.waiting()
        self._remove_recorded(waiting)
        self._plan_retries(now)
        if self._flying and now - self._checked > RECHECK:
            self._checked = now
            self._resend_lost(now)
        if not self._try_suspects(now):
            return
        flying = Counter(job for job, _ in self._flying)
        more = waiting
        # A job with few chunks leaves slots unused. Share those among the others.
        while more and (slots := self._in_flight - len(self._flying)) > 0:
            shares = share_slots(more, flying, slots)
            more = [job for job, count in shares.items() if self._send(job, count, now) == count]
            flying = Counter(job for job, _ in self._flying)

    def _remove_recorded(self, waiting: list[str]) -> None:
        numbers: dict[str, list[int]] = {}
        for job, number in self._flying:
            numbers.setdefault(job, []).append(number)
        for job, sent in numbers.items():
            still = self._store.still_pending(job, sent) if job in waiting else set()
            for number in set(sent) - still:
                del self._flying[job, number]
                self._retries.ended((job, number))
        self._retries.keep(waiting)

    def _plan_retries(self, now: float) -> None:
        while self._failures:
            chunk, reason = self._failures[0]
            # Otherwise it was sent twice, and the other attempt has an outcome.
            if chunk in self._flying:
                if tried := self._retries.failed(chunk, now):
                    self._store.record(*chunk, Outcome(error=f"{reason} ({tried})"))
                elif self._one_process:
                    self._store.attempt(chunk[0], [chunk[1]], -1)
                del self._flying[chunk]
            self._failures.popleft()

    def _resend_lost(self, now: float) -> None:
        overdue = [flight for flight in self._flying.values() if flight.overdue(now)]
        if overdue and not self._queued():
            log.warning("sending %d chunks again, which got no outcome in time", len(overdue))
            for (job, number), flight in list(self._flying.items()):
                if flight in overdue:
                    self._publish_one(job, number)
                    flight.sent, flight.times = now, flight.times + 1

    def _try_suspects(self, now: float) -> bool:
        """Send one suspect at a time; True when none is left."""
        if self._suspects is None:
            self._suspects = deque(self._store.suspects())
        while self._suspects and not self._flying:
            job, number, attempts = self._suspects.popleft()
            if error := delivery_limit_error(attempts):
                self._store.record(job, number, Outcome(**error))
                continue
            self._store.attempt(job, [number])
            self._publish_one(job, number)
            self._flying[job, number] = Flight(now)
        return not self._suspects

    def _send(self, job: str, count: int, now: float) -> int:
        skip = [number for other, number in self._flying if other == job]
        began = time.time()
        numbers = self._next(job, skip, self._retries.slots(job, count, len(skip), now), now)
        if numbers and self._one_process:
            self._store.attempt(job, numbers)
        for number in numbers:
            self._publish_one(job, number)
            self._flying[job, number] = Flight(now)
        if numbers and not skip:
            self._store.start(job, began)
        return len(numbers)

    def _next(self, job: str, skip: list[int], count: int, now: float) -> list[int]:
        """The chunks to send next: new ones, and those whose retry is due."""
        if not count:
            return []
        due = self._retries.due(job, now)
        again = sorted(self._store.still_pending(job, due))[:count] if due else []
        if not self._retries.troubled(job):
            count -= len(again)
        new = self._store.pending(job, [*skip, *self._retries.held(job)], count) if count else []
        # A chunk that has not failed yet shows better whether the workers work again.
        return (new or again) if self._retries.troubled(job) else [*again, *new]

    def _publish_one(self, job: str, number: int) -> None:
        payload = self._store.payload(job, number)
        if payload is not None:
            self._publish(payload)
