"""The Celery application: queues and the settings that make them safe."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

from celery import Celery, signals
from celery.backends.rpc import RPCBackend
from celery.platforms import SecurityWarning
from celery.worker.consumer import Consumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from celery.worker.state import maybe_shutdown
from kombu import Connection, Exchange, Queue

from production_server.messaging import frames
from production_server.settings import Settings

log = logging.getLogger(__name__)

PREDICT_QUEUE = "stackserve.predict"
JOBS_QUEUE = "stackserve.jobs"
RESULTS_QUEUE = "stackserve.results"

PREDICT = "stackserve.predict"
PREDICT_CHUNK = "stackserve.predict_chunk"
RECORD_CHUNK = "stackserve.record_chunk"

# RabbitMQ closes the channel of a message that is unacknowledged for 30 minutes.
# A chunk takes milliseconds; this only bounds how long a hung connection goes unseen.
HEARTBEAT = 30
RETRY_SECONDS = 0.5

# Messages that a process holds ahead. One chunk only: RabbitMQ counts each delivery of a chunk,
# and those held behind one that kills its worker would be blamed for its deaths.
PREFETCH = {PREDICT_QUEUE: 4, JOBS_QUEUE: 1, RESULTS_QUEUE: 16}


# Celery warns when root runs a worker, for the sake of pickle, which is not accepted here.
warnings.filterwarnings("ignore", category=SecurityWarning)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _leave_logging_alone(**_: object) -> None:
    """The process that runs us decides how it logs."""


def create_app(settings: Settings) -> Celery:
    """An application for one process of the service."""
    app = Celery("stackserve", set_as_current=False)
    app.conf.update(
        broker_url="memory://localhost//" if settings.embedded else settings.broker_url,
        broker_heartbeat=None if settings.embedded else HEARTBEAT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings),
        result_backend=f"{__name__}.{ReplyBackend.__name__}",
        result_serializer="msgpack",
        result_persistent=False,
        task_serializer="msgpack",
        accept_content=["json", "msgpack"],
        task_queues=_queues(),
        task_default_queue=PREDICT_QUEUE,
        task_create_missing_queues=False,
        task_routes={
            PREDICT: {"queue": PREDICT_QUEUE},
            PREDICT_CHUNK: {"queue": JOBS_QUEUE},
            RECORD_CHUNK: {"queue": RESULTS_QUEUE},
        },
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_store_errors_even_if_ignored=False,
        worker_consumer=f"{__name__}.{LeanConsumer.__name__}",
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_enable_remote_control=True,
        worker_hijack_root_logger=False,
        worker_pool="solo",
        worker_prefetch_multiplier=4,
        worker_send_task_events=False,
        worker_enable_prefetch_count_reduction=False,
        control_queue_exclusive=True,
        event_queue_exclusive=True,
    )
    return app


def _transport_options(settings: Settings) -> dict[str, object]:
    if settings.embedded:
        # The in-memory queue is polled: this is the delay it adds, against an idle core's percent.
        return {"polling_interval": 0.003}
    # Whoever finds no broker tries again soon; the default is after 2 s, then after 4 more.
    pauses = {"interval_start": RETRY_SECONDS, "interval_step": 0, "interval_max": RETRY_SECONDS}
    return {"confirm_publish": True, **pauses}


def _queues() -> list[Queue]:
    # What waits in `predict` has somebody waiting for it, so it need not be copied to disk as
    # a quorum queue does; jobs must outlive anything, and count their deliveries.
    quorum = {"x-queue-type": "quorum"}
    return [
        _queue(PREDICT_QUEUE, None),
        _queue(JOBS_QUEUE, quorum),
        _queue(RESULTS_QUEUE, quorum),
    ]


def _queue(name: str, arguments: dict[str, str] | None) -> Queue:
    exchange = Exchange("stackserve", type="direct", durable=True)
    return PacedQueue(name, exchange, routing_key=name, durable=True, queue_arguments=arguments)


class PacedQueue(Queue):  # type: ignore[misc]
    """A queue with a prefetch count of its own; Celery has one for all."""

    def consume(self, *arguments: object, **more: object) -> object:
        # It holds for consumers that are begun after it on this channel, until it is set again.
        self.channel.basic_qos(0, PREFETCH[self.name], False)
        return super().consume(*arguments, **more)


def unconfirmed(connection: Connection) -> Connection:
    """For what is asked again when it is lost: the broker's word would double its time."""
    connection.transport_options = {**connection.transport_options, "confirm_publish": False}
    return connection


class ReplyBackend(RPCBackend):  # type: ignore[misc]
    """Answers go to the queue that the sender named; the sender declared it once, not per call."""

    def on_task_call(self, producer: object, task_id: str) -> None:
        """Nothing to declare."""


class LeanConsumer(Consumer):  # type: ignore[misc]
    """A worker's consumer that acknowledges at once, and makes no queue that nobody uses."""

    def call_soon_ack(self, acknowledge: Callable[..., None], *arguments: object) -> None:
        """Celery would leave it to the event loop's next round, which may first wait for a message:

        with the solo pool perhaps for one that RabbitMQ holds back until it sees this
        acknowledgement. The worker would idle until the next heartbeat.
        """
        acknowledge(*arguments)

    def connect(self) -> Connection:
        connection = super().connect()
        if self.hub:
            self.hub.add_reader(connection.connection.sock, frames.reader(connection.connection))
        return connection

    def connection_for_read(self, heartbeat: float | None = None) -> Connection:
        """Also answers leave by it."""
        connection = self.app.connection_for_read(heartbeat=heartbeat)
        return self.ensure_connected(unconfirmed(connection))

    def ensure_connected(self, connection: Connection) -> Connection:
        """Try once a second, however long: Celery's own pauses grow to half a minute.

        RabbitMQ takes its time to start, and the workers start beside it.
        """
        told = False

        def refused(error: Exception, _pause: float) -> None:
            nonlocal told
            if not told:
                log.warning("waiting for RabbitMQ: %s", error)
            told = True

        connection.ensure_connection(
            refused, interval_start=1, interval_step=0, interval_max=1, callback=maybe_shutdown
        )
        self.first_connection_attempt = False
        return connection

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """Without the step of the 28 queues that only delayed tasks would need."""

        default_steps = [  # noqa: RUF012
            step
            for step in Consumer.Blueprint.default_steps
            if "delayed_delivery" not in str(step) and step is not DelayedDelivery
        ]
