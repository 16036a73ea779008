"""The link: one connection to the broker that sends predict tasks and receives the answers.

It runs on an event loop, not in a thread of its own: waiting for the interpreter lock to hand over
an answer would take longer than the prediction itself.
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
from production_server.messaging.alarms import publish_nothing
from production_server.messaging.app import direct_exchange, disable_confirms
from production_server.messaging.batches import Batch
from production_server.messaging.names import ANSWERS, PREDICT, PREDICT_QUEUE, REQUEST_IDS

CONNECTION_ERRORS = (OSError, AMQPError, OperationalError)
# The in-memory queue has no socket to watch, so it is polled.
POLL_SECONDS = 0.002

Meta = dict[str, object]


class Link:
    """Open it in any thread, then use it on one event loop until it fails.

    Failures are any of CONNECTION_ERRORS.
    """

    def __init__(self, app: Celery) -> None:
        self._connection = disable_confirms(app.connection_for_write())
        self._queue: Queue = app.amqp.queues[PREDICT_QUEUE]
        name = f"stackserve.reply.{uuid.uuid4()}"
        self._reply = Queue(
            name,
            direct_exchange(ANSWERS),
            routing_key=name,
            exclusive=True,
            auto_delete=True,
            durable=False,
        )
        message = app.amqp.create_task_message("", PREDICT, (), {})
        # Send only the headers that the worker reads.
        self._headers = {name: message.headers[name] for name in ("lang", "task", "timelimit")}
        self._embed = message.body[2]
        self._answers: list[Meta] = []
        self._in_memory = True
        self._unwatch: Callable[[], object] = lambda: None

    def open(self) -> None:
        """Connect and subscribe to answers. This blocks."""
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
        on_answers: Callable[[list[Meta]], None],
        on_failure: Callable[[Exception], None],
        on_alarm: Callable[[str], None],
    ) -> None:
        """Call `on_answers` as answers arrive, and `on_failure` once if the connection breaks.

        Call `on_alarm` with the reason when RabbitMQ stops accepting messages, and with "" when it
        accepts them again.
        """
        inner = self._connection.connection
        sock = getattr(inner, "sock", None)
        self._in_memory = sock is None
        read = self._poll if sock is None else frames.reader(inner, on_alarm)

        def receive() -> None:
            failure = None
            try:
                read()
            except CONNECTION_ERRORS as error:
                failure = error
            # Deliver answers that arrived before the connection broke.
            answers, self._answers = self._answers, []
            if answers:
                on_answers(answers)
            if failure is not None:
                self.close()
                on_failure(failure)

        def poll() -> None:
            handles[0] = loop.call_later(POLL_SECONDS, poll)
            receive()

        if sock is None:
            handles = [loop.call_soon(poll)]
            self._unwatch = lambda: handles[0].cancel()  # noqa: PLW0108 - the handle changes
        else:
            loop.add_reader(sock, receive)
            self._unwatch = lambda: loop.remove_reader(sock)

    def send(self, batch: Batch, seconds: float) -> None:
        """Send a batch as one task that expires after `seconds` if no worker takes it."""
        # Not among the headers: those must fit into one frame, and are slower to write.
        embed = {**self._embed, REQUEST_IDS: batch.request_ids}
        body: tuple[object, ...] = ((batch.version, batch.rows, batch.count), {}, embed)
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

    def probe(self) -> None:
        """Publish nothing, to be told of an alarm."""
        if not self._in_memory:
            publish_nothing(self._channel, self._queue.exchange.name)

    def check_heartbeat(self) -> None:
        """Send a heartbeat if one is due, and check the broker's. Call it about once a second."""
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


def open_link(app: Celery) -> Link:
    """A link that is connected. This blocks."""
    link = Link(app)
    try:
        link.open()
    except BaseException:
        link.close()
        raise
    return link
