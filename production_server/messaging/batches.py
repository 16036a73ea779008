"""Requests for a prediction and the batches that carry them. Nothing here does I/O.

What every request creates is not frozen: a frozen dataclass takes five times as long to create.
"""

from __future__ import annotations

import uuid
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from production_server.batch_sizes import LARGEST_BATCH
from production_server.errors import QueueError

NO_BROKER = "cannot connect to RabbitMQ"
NO_ANSWER = "no worker answered in time"
CHECK_BROKER = "Try again in a moment. If it persists, check: systemctl status rabbitmq-server"
CHECK_WORKERS = "Try again in a moment. If it persists, check that workers are running: GET /alive"


@dataclass(slots=True)
class Answer:
    """The outputs of one model version: float32, `width` numbers per row."""

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


@dataclass(slots=True)
class Ask:
    """The rows of one request (float32, row-major) and the callback for their outcome."""

    version: str
    rows: bytes
    count: int
    done: Callable[[Outcome], None]
    until: float
    request_id: str = ""


@dataclass(slots=True)
class Batch:
    """Requests for one version that are sent as one task."""

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

    @property
    def request_ids(self) -> str:
        """The IDs of the requests in one string, which costs less than a list."""
        return " ".join([ask.request_id for ask in self.asks if ask.request_id])

    def resolve(self, outcome: Outcome) -> None:
        """Give each request its own rows of the answer, or the error."""
        first = 0
        for ask in self.asks:
            if isinstance(outcome, Answer):
                ask.done(outcome.part(first, ask.count))
            else:
                ask.done(outcome)
            first += ask.count


def take_batches(waiting: deque[Ask], now: float) -> Iterator[Batch]:
    """Empty `waiting` into batches of one version each.

    A batch has at most LARGEST_BATCH rows, unless a single request has more. Requests past their
    deadline get an error.
    """
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
        in_time = [ask for ask in asks if ask.until > now]
        for ask in asks:
            if ask.until <= now:
                ask.done(QueueError(NO_ANSWER, CHECK_WORKERS))
        if in_time:
            yield Batch(in_time)


def outcome_of(meta: dict[str, object]) -> Outcome:
    """Turn a task's reply message into an answer or an error."""
    result = meta.get("result")
    if meta.get("status") == "SUCCESS" and isinstance(result, dict):
        return Answer(result["version"], result["outputs"], result["width"], result["seconds"])
    message = str(result.get("exc_message", result)) if isinstance(result, dict) else str(result)
    return QueueError(f"the worker failed: {message}", CHECK_WORKERS)
