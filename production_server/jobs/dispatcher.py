"""The dispatcher: sends the chunks of accepted jobs to the workers, a bounded number at a time.

Which chunks are on their way is kept in memory only. After a restart of this process everything
that is not recorded is sent again; the store counts each chunk once, so that is harmless.
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
from production_server.jobs.records import Outcome, Payload, verdict
from production_server.jobs.store import Store

log = logging.getLogger(__name__)

# Enough to keep 16 workers busy between two looks at the store, few enough to cancel quickly and
# to be sent twice after a crash without harm.
IN_FLIGHT = 32
POLL = 0.2  # seconds until a new job of another process is seen
# A chunk that has not come back after this long, with nothing waiting in the queue, is lost
# (the broker's data was wiped). Doubled each time, for models that are really that slow.
PATIENCE = 60.0
RECHECK = 5.0
RETRY = 1.0
PRUNE_EVERY = 3600.0
ABANDONED = 900.0  # an upload shows life with each chunk

Chunk = tuple[str, int]


@dataclass
class Flight:
    """A chunk on its way: when it was sent last, and how often."""

    sent: float
    times: int = 1

    def overdue(self, now: float) -> bool:
        return now - self.sent > PATIENCE * (1 << self.times - 1)


def share(waiting: Iterable[str], flying: Counter[str], slots: int) -> dict[str, int]:
    """How many more chunks each job may send: those with the fewest on their way come first.

    So a small job behind a large one need not wait until the large one is through.
    """
    count = {job: flying[job] for job in waiting}
    before = dict(count)
    for _ in range(slots if count else 0):
        count[min(count, key=count.__getitem__)] += 1
    return {job: now - before[job] for job, now in count.items() if now > before[job]}


class Dispatcher:
    """One thread; `publish` sends a chunk, `queued` tells how many wait in the queue."""

    def __init__(
        self,
        store: Store,
        publish: Callable[[Payload], None],
        queued: Callable[[], int],
        *,
        retention: float,
        in_flight: int = IN_FLIGHT,
        one_process: bool = False,
    ) -> None:
        """`one_process`: the worker lives in this process, and takes it along when it dies.

        Then no broker counts deliveries; the store does, and what was on its way when the process
        died is tried alone first, so that the chunk that kills is told from its neighbours.
        """
        self._store = store
        self._publish = publish
        self._queued = queued
        self._retention = retention
        self._in_flight = in_flight
        self._one_process = one_process
        self._suspects: deque[tuple[str, int, int]] | None = None if one_process else deque()
        self._flying: dict[Chunk, Flight] = {}
        self._checked = self._pruned = 0.0
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
        """Something was recorded or accepted: look at once."""
        self._wake.set()

    def _run(self) -> None:
        well = True
        while not self._stopping.is_set():
            try:
                self.tick(time.monotonic())
                well = True
                self._rest()
            except Exception as error:  # a dispatcher that ends leaves every job waiting for ever
                if well or not isinstance(error, (QueueError, SQLAlchemyError)):
                    log.exception("chunks cannot be sent now; trying again every %g s", RETRY)
                well = False
                self._stopping.wait(RETRY)

    def _rest(self) -> None:
        """Wait until there may be something to do; an idle service must cost next to nothing."""
        until = time.monotonic() + RECHECK
        while not self._wake.wait(POLL):
            if time.monotonic() > until or self._store.changed():
                break
        self._wake.clear()

    def tick(self, now: float) -> None:
        """One look at the store: who is waiting, what came back, what can be sent."""
        if now - self._pruned > PRUNE_EVERY or not self._pruned:
            self._pruned = now
            self.prune(time.time())
        waiting = self._store.waiting()
        self._land(waiting)
        if self._flying and now - self._checked > RECHECK:
            self._checked = now
            self._forget_lost(now)
        if not self._suspects_settled(now):
            return
        flying = Counter(job for job, _ in self._flying)
        more = waiting
        # A job with few chunks leaves its share to the others: deal again until all is dealt.
        while more and (slots := self._in_flight - len(self._flying)) > 0:
            shares = share(more, flying, slots)
            more = [job for job, count in shares.items() if self._send(job, count, now) == count]
            flying = Counter(job for job, _ in self._flying)

    def prune(self, now: float) -> None:
        gone = self._store.prune(now - self._retention * 86400, now - ABANDONED)
        if gone:
            log.info("%d old jobs were removed", gone)

    def _land(self, waiting: list[str]) -> None:
        numbers: dict[str, list[int]] = {}
        for job, number in self._flying:
            numbers.setdefault(job, []).append(number)
        for job, sent in numbers.items():
            still = self._store.still_pending(job, sent) if job in waiting else set()
            for number in set(sent) - still:
                del self._flying[job, number]

    def _forget_lost(self, now: float) -> None:
        overdue = [flight for flight in self._flying.values() if flight.overdue(now)]
        if overdue and not self._queued():
            log.warning("%d chunks did not come back and are sent again", len(overdue))
            for (job, number), flight in list(self._flying.items()):
                if flight in overdue:
                    self._publish_one(job, number)
                    flight.sent, flight.times = now, flight.times + 1

    def _suspects_settled(self, now: float) -> bool:
        if self._suspects is None:
            self._suspects = deque(self._store.suspects())
        while self._suspects and not self._flying:
            job, number, attempts = self._suspects.popleft()
            if error := verdict(attempts):
                self._store.record(job, number, Outcome(**error))
                continue
            self._store.attempt(job, [number])
            self._publish_one(job, number)
            self._flying[job, number] = Flight(now)
        return not self._suspects

    def _send(self, job: str, count: int, now: float) -> int:
        skip = [number for other, number in self._flying if other == job]
        began = time.time()
        numbers = self._store.pending(job, skip, count)
        if numbers and self._one_process:
            self._store.attempt(job, numbers)
        for number in numbers:
            self._publish_one(job, number)
            self._flying[job, number] = Flight(now)
        if numbers and not skip:
            self._store.start(job, began)
        return len(numbers)

    def _publish_one(self, job: str, number: int) -> None:
        payload = self._store.payload(job, number)
        if payload is not None:
            self._publish(payload)
