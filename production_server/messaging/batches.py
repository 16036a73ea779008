"""Rows that wait for an answer, and the batches they travel in: plain values, nothing that acts."""

from __future__ import annotations

import uuid
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from production_server.batch_sizes import LARGEST_BATCH
from production_server.errors import QueueError

NO_BROKER = "the queue's broker cannot be reached"
CHECK_BROKER = "Wait a moment and try again; on the server: systemctl status rabbitmq-server"
CHECK_WORKERS = "Try again; if it stays so, look whether a worker runs: GET /alive"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said: float32 outputs, `width` numbers a row, all by one version."""

    version: str
    outputs: bytes
    width: int
    seconds: float

    def part(self, first: int, count: int) -> Answer:
        size = 4 * self.width
        outputs = self.outputs[first * size : (first + count) * size]
        return Answer(self.version, outputs, self.width, self.seconds)

    def rows(self) -> list[list[float]]:
        numbers, width = array("f", self.outputs).tolist(), self.width
        return [numbers[at : at + width] for at in range(0, len(numbers), width)]


Outcome = Answer | QueueError


@dataclass(frozen=True, slots=True)
class Ask:
    """Rows of one asker (float32, row-major) and whom to tell."""

    version: str
    rows: bytes
    count: int
    done: Callable[[Outcome], None]
    until: float


@dataclass(slots=True)
class Batch:
    """Asks of one version that travel as one task."""

    asks: list[Ask]
    task: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent: float = 0.0

    @property
    def version(self) -> str:
        return self.asks[0].version

    @property
    def rows(self) -> bytes:
        return b"".join([ask.rows for ask in self.asks])

    @property
    def count(self) -> int:
        return sum([ask.count for ask in self.asks])

    @property
    def until(self) -> float:
        return max([ask.until for ask in self.asks])

    def resolve(self, outcome: Outcome) -> None:
        first = 0
        for ask in self.asks:
            if isinstance(outcome, Answer):
                ask.done(outcome.part(first, ask.count))
            else:
                ask.done(outcome)
            first += ask.count


def take_batches(waiting: deque[Ask], now: float) -> Iterator[Batch]:
    """Empty `waiting` into batches: one version each, at most LARGEST_BATCH unless one ask is."""
    while waiting:
        asks = [waiting.popleft()]
        count = asks[0].count
        while (
            waiting
            and waiting[0].version == asks[0].version
            and count + waiting[0].count <= LARGEST_BATCH
        ):
            asks.append(waiting.popleft())
            count += asks[-1].count
        alive = [ask for ask in asks if ask.until > now]
        for ask in asks:
            if ask.until <= now:
                ask.done(QueueError("no answer came in time", CHECK_WORKERS))
        if alive:
            yield Batch(alive)


def outcome_of(meta: dict[str, object]) -> Outcome:
    """The reply message of a task as an answer or an error."""
    result = meta.get("result")
    if meta.get("status") == "SUCCESS" and isinstance(result, dict):
        return Answer(result["version"], result["outputs"], result["width"], result["seconds"])
    message = str(result.get("exc_message", result)) if isinstance(result, dict) else str(result)
    return QueueError(f"the worker could not answer: {message}", CHECK_WORKERS)
