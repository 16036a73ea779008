"""The link: one connection to the broker that sends predict tasks and hears their answers.

It is driven by an event loop, not by threads: a thread that wants to hand over an answer would
wait for the interpreter for longer than the model takes to give it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Consumer, Queue
from kombu.exceptions import OperationalError
from kombu.serialization import dumps

from production_server.messaging import frames
from production_server.messaging.app import PREDICT, PREDICT_QUEUE, unconfirmed
from production_server.messaging.batches import Batch

CONNECTION_ERRORS = (OSError, AMQPError, OperationalError)
# The in-memory queue has no socket that would tell of an answer.
POLL_SECONDS = 0.002

Meta = dict[str, object]


class Link:
    """Opened in any thread, then used on one loop until it fails with CONNECTION_ERRORS."""

    def __init__(self, app: Celery) -> None:
        self._connection = unconfirmed(app.connection_for_write())
        self._queue: Queue = app.amqp.queues[PREDICT_QUEUE]
        self._reply = Queue(
            f"stackserve.reply.{uuid.uuid4()}", exclusive=True, auto_delete=True, durable=False
        )
        message = app.amqp.create_task_message("", PREDICT, (), {})
        # What a worker takes for granted need not travel with each task.
        self._headers = {name: message.headers[name] for name in ("lang", "task", "timelimit")}
        self._embed = message.body[2]
        self._answers: list[Meta] = []
        self._unwatch: Callable[[], object] = lambda: None

    def open(self) -> None:
        """Connect and listen for answers; this blocks."""
        channel = self._connection.default_channel
        self._queue(channel).declare()
        consumer = Consumer(
            channel,
            [self._reply],
            callbacks=[lambda meta, _: self._answers.append(meta)],
            no_ack=True,
            accept=["msgpack", "json"],
        )
        consumer.consume()
        self._channel = channel

    def watch(
        self,
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[list[Meta]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Call `heard` with the answers as they come; `failed` once, when it is lost."""
        inner = self._connection.connection
        sock = getattr(inner, "sock", None)
        read = self._poll if sock is None else frames.reader(inner)

        def look() -> None:
            lost = None
            try:
                read()
            except CONNECTION_ERRORS as error:
                lost = error
            # What came before the connection broke counts.
            answers, self._answers = self._answers, []
            if answers:
                heard(answers)
            if lost is not None:
                self.close()
                failed(lost)

        def poll() -> None:
            handles[0] = loop.call_later(POLL_SECONDS, poll)
            look()

        if sock is None:
            handles = [loop.call_soon(poll)]
            self._unwatch = lambda: handles[0].cancel()  # noqa: PLW0108 - of the moment
        else:
            loop.add_reader(sock, look)
            self._unwatch = lambda: loop.remove_reader(sock)

    def send(self, batch: Batch, seconds: float) -> None:
        """Send a batch as one task that is dropped if no worker takes it in time."""
        body: tuple[object, ...] = ((batch.version, batch.rows, batch.count), {}, self._embed)
        content_type, encoding, payload = dumps(body, "msgpack")
        message = self._channel.prepare_message(
            payload,
            content_type=content_type,
            content_encoding=encoding,
            headers={**self._headers, "id": batch.task, "root_id": batch.task},
            properties={
                "correlation_id": batch.task,
                "reply_to": self._reply.name,
                "delivery_mode": 1,
                "expiration": str(int(seconds * 1000)),
            },
        )
        self._channel.basic_publish(
            message, exchange=self._queue.exchange.name, routing_key=self._queue.routing_key
        )

    def beat(self) -> None:
        """To be called about once a second: heartbeats both ways."""
        self._connection.heartbeat_check()

    def close(self) -> None:
        self._unwatch()
        self._unwatch = lambda: None
        self._connection.collect()

    def _poll(self) -> None:
        try:
            while True:
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            pass


def opened(app: Celery) -> Link:
    link = Link(app)
    try:
        link.open()
    except BaseException:
        link.close()
        raise
    return link
