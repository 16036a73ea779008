"""The lane: many askers' rows become few tasks, and each asker gets its own rows' answers.

One thread sends. It takes whatever waits at that moment (no timer: alone, a request is sent at
once; under load, batches form by themselves) and sends one task for all of it. Another thread
reads the answers from a reply queue that is declared once. A batch never mixes model versions.
"""

from __future__ import annotations

import threading
import time
import uuid
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import OperationalError

from production_server.errors import QueueError
from production_server.messaging.app import PREDICT

CONNECTION_ERRORS = (OSError, AMQPError, OperationalError)
# Larger batches gain nothing: the model's own largest compiled batch is this size.
MAX_BATCH_ROWS = 4096
RECONNECT_PAUSE = 0.5
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
    def count(self) -> int:
        return sum(ask.count for ask in self.asks)

    @property
    def until(self) -> float:
        return max(ask.until for ask in self.asks)

    def resolve(self, outcome: Outcome) -> None:
        first = 0
        for ask in self.asks:
            if isinstance(outcome, Answer):
                ask.done(outcome.part(first, ask.count))
            else:
                ask.done(outcome)
            first += ask.count


class Observer(Protocol):
    """Who wants to know how batches fare."""

    def batch(self, rows: int, waited: float, inference: float) -> None: ...


def take_batches(waiting: deque[Ask], now: float) -> Iterator[Batch]:
    """Empty `waiting` into batches: one version each, at most MAX_BATCH_ROWS unless one ask is."""
    while waiting:
        asks = [waiting.popleft()]
        count = asks[0].count
        while (
            waiting
            and waiting[0].version == asks[0].version
            and count + waiting[0].count <= MAX_BATCH_ROWS
        ):
            asks.append(waiting.popleft())
            count += asks[-1].count
        alive = [ask for ask in asks if ask.until > now]
        for ask in asks:
            if ask.until <= now:
                ask.done(QueueError("no answer came in time", CHECK_WORKERS))
        if alive:
            yield Batch(alive)


class Lane:
    """The way from this process to the workers and back."""

    def __init__(
        self, app: Celery, deadline: float, *, window: int = 4, observer: Observer | None = None
    ) -> None:
        self._app = app
        self.deadline = deadline
        self._observer = observer
        self._waiting: deque[Ask] = deque()
        self._outstanding: dict[str, Batch] = {}
        # How many batches may be under way: while they are, the next ones grow.
        self._window = threading.Semaphore(window)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._reply_to = ""
        self._connected = threading.Event()
        self._threads = [
            threading.Thread(target=self._send_loop, name="lane-send", daemon=True),
            threading.Thread(target=self._receive_loop, name="lane-receive", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def submit(self, ask: Ask) -> None:
        self._waiting.append(ask)
        self._wake.set()

    def ask(self, version: str, rows: bytes, count: int, deadline: float | None = None) -> Answer:
        """Ask and wait, for callers with a thread of their own."""
        patience = deadline or self.deadline
        future: Future[Outcome] = Future()
        self.submit(Ask(version, rows, count, future.set_result, time.monotonic() + patience))
        outcome = future.result(timeout=patience + 5)
        if isinstance(outcome, QueueError):
            raise outcome
        return outcome

    # Sending

    def _send_loop(self) -> None:
        connection = self._app.connection_for_write()
        while not self._stopping.is_set():
            self._wake.wait()
            self._wake.clear()
            # An asker's deadline is kept even while nothing can be sent.
            while self._waiting and not self._stopping.is_set():
                if not self._connected.wait(timeout=0.2):
                    self._drop_expired()
                    continue
                if not self._window.acquire(timeout=0.2):
                    self._drop_expired()
                    continue
                batch = next(take_batches(self._waiting, time.monotonic()), None)
                if batch is None or not self._send(connection, batch):
                    self._window.release()
        connection.release()

    def _drop_expired(self) -> None:
        now = time.monotonic()
        kept = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for ask in kept:
            if ask.until > now:
                self._waiting.append(ask)
            else:
                ask.done(QueueError(NO_BROKER, CHECK_BROKER))

    def _send(self, connection: Connection, batch: Batch) -> bool:
        batch.sent = time.monotonic()
        self._outstanding[batch.task] = batch
        version = batch.asks[0].version
        rows = batch.asks[0].rows if len(batch.asks) == 1 else b"".join(a.rows for a in batch.asks)
        try:
            producer = self._app.amqp.Producer(connection.default_channel, auto_declare=False)
            self._app.send_task(
                PREDICT,
                args=(version, rows, batch.count),
                task_id=batch.task,
                producer=producer,
                reply_to=self._reply_to,
                expires=max(0.1, batch.until - batch.sent),
                delivery_mode="transient",
                retry=False,
            )
        except CONNECTION_ERRORS:
            connection.collect()
            if self._outstanding.pop(batch.task, None) is not None:
                self._waiting.extendleft(reversed(batch.asks))
                self._wake.set()
                self._stopping.wait(RECONNECT_PAUSE)
                return False
        return True

    # Receiving

    def _receive_loop(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._app.connection_for_read() as connection:
                    self._receive(connection)
            except CONNECTION_ERRORS:
                self._connected.clear()
                self._resend()
                self._expire()
                self._stopping.wait(RECONNECT_PAUSE)

    def _receive(self, connection: Connection) -> None:
        connection.connect()
        queue = Queue(
            f"stackserve.reply.{uuid.uuid4()}", exclusive=True, auto_delete=True, durable=False
        )
        channel = connection.default_channel
        with Consumer(
            channel, [queue], callbacks=[self._on_answer], no_ack=True, accept=["msgpack", "json"]
        ):
            self._reply_to = queue.name
            self._connected.set()
            beat = time.monotonic()
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.5)
                now = time.monotonic()
                if now - beat >= 0.5:
                    self._expire()
                    connection.heartbeat_check()
                    beat = now

    def _on_answer(self, meta: dict[str, object], _: Message) -> None:
        batch = self._take(str(meta["task_id"]))
        if batch is None:
            return  # answered twice (redelivered after a lost connection), or too late
        outcome = outcome_of(meta)
        if isinstance(outcome, Answer) and self._observer is not None:
            waited = time.monotonic() - batch.sent
            self._observer.batch(batch.count, waited, outcome.seconds)
        batch.resolve(outcome)

    def _take(self, task: str) -> Batch | None:
        batch = self._outstanding.pop(task, None)
        if batch is not None:
            self._window.release()
        return batch

    def _expire(self) -> None:
        now = time.monotonic()
        for batch in list(self._outstanding.values()):
            if batch.until <= now and self._take(batch.task):
                batch.resolve(QueueError("no worker answered in time", CHECK_WORKERS))

    def _resend(self) -> None:
        """Answers on the lost connection will never come: ask again, within the deadlines."""
        for batch in list(self._outstanding.values()):
            if self._take(batch.task):
                self._waiting.extendleft(reversed(batch.asks))
        self._wake.set()


def outcome_of(meta: dict[str, object]) -> Outcome:
    """The reply message of a task as an answer or an error."""
    result = meta.get("result")
    if meta.get("status") == "SUCCESS" and isinstance(result, dict):
        return Answer(result["version"], result["outputs"], result["width"], result["seconds"])
    message = str(result.get("exc_message", result)) if isinstance(result, dict) else str(result)
    return QueueError(f"the worker could not answer: {message}", CHECK_WORKERS)
