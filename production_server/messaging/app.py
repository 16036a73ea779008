"""The Celery application: its queues and its settings."""

from __future__ import annotations

import logging
import threading
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
from production_server.messaging.alarms import Alarm, log_alarm, publish_nothing
from production_server.messaging.control import DurableControl, PredeclaredControl
from production_server.messaging.names import (
    ANSWERS,
    CONTROL,
    EXCHANGE,
    JOBS_QUEUE,
    PREDICT,
    PREDICT_CHUNK,
    PREDICT_QUEUE,
    RECORD_CHUNK,
    RESULTS_QUEUE,
)
from production_server.messaging.tls import tls_options
from production_server.settings import Settings

log = logging.getLogger(__name__)

# Seconds. Detects a hung connection: RabbitMQ itself only closes a channel once a message has
# been unacknowledged for 30 minutes.
HEARTBEAT = 30
RETRY_SECONDS = 0.5

# Messages prefetched by each process. Only one chunk: RabbitMQ counts the deliveries of each chunk,
# so chunks prefetched behind one that kills its worker would look guilty too.
PREFETCH = {PREDICT_QUEUE: 4, JOBS_QUEUE: 1, RESULTS_QUEUE: 16}


# Celery warns when root runs a worker because of pickle, which this application does not accept.
warnings.filterwarnings("ignore", category=SecurityWarning)


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _keep_logging(**_: object) -> None:
    """Stop Celery from configuring logging: the process has done so already."""


def create_app(settings: Settings, *, confirm_publish: bool = True) -> Celery:
    """Create the application of one process.

    With `confirm_publish`, each message waits for the broker's confirm, so none gets lost.
    """
    control = PredeclaredControl if settings.on_worker_vm else DurableControl
    app = Celery("stackserve", set_as_current=False, control=control)
    app.alarm = Alarm()
    app.alive_file = settings.alive_file
    app.conf.update(
        broker_url="memory://localhost//" if settings.embedded else settings.broker_url,
        broker_use_ssl=tls_options(settings),
        broker_heartbeat=None if settings.embedded else HEARTBEAT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings, app.alarm, confirm_publish),
        result_backend=f"{__name__}.{ReplyBackend.__name__}",
        result_serializer="msgpack",
        result_persistent=False,
        task_serializer="msgpack",
        accept_content=["json", "msgpack"],
        task_queues=_queues(declared_elsewhere=settings.on_worker_vm),
        task_default_queue=PREDICT_QUEUE,
        task_create_missing_queues=False,
        task_routes={
            PREDICT: {"queue": PREDICT_QUEUE},
            PREDICT_CHUNK: {"queue": JOBS_QUEUE},
            # Without exchange and key, Celery uses RabbitMQ's default exchange, which reaches every
            # queue. Worker VMs may not publish there.
            RECORD_CHUNK: {
                "queue": RESULTS_QUEUE,
                "exchange": ANSWERS,
                "routing_key": RESULTS_QUEUE,
            },
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
        control_exchange=CONTROL,
        control_queue_exclusive=True,
        event_queue_exclusive=True,
    )
    return app


def _transport_options(
    settings: Settings, alarm: Alarm, confirm_publish: bool
) -> dict[str, object]:
    if settings.embedded:
        # The in-memory queue is polled. This interval trades latency for the load of an idle core.
        return {"polling_interval": 0.003}
    # Reconnect quickly: by default, retries start after 2 s and slow down from there.
    pauses = {"interval_start": RETRY_SECONDS, "interval_step": 0, "interval_max": RETRY_SECONDS}
    alarms = {"on_blocked": alarm.raised, "on_unblocked": alarm.lifted}
    return {"confirm_publish": confirm_publish, **alarms, **pauses}


def _queues(*, declared_elsewhere: bool) -> list[Queue]:
    """The queues of tasks. A worker VM may not declare them."""
    # Jobs must survive a crash, and need the delivery counts that only quorum queues keep. The
    # predict queue needs neither: its clients are waiting and would retry.
    quorum = {"x-queue-type": "quorum"}
    arguments = {PREDICT_QUEUE: None, JOBS_QUEUE: quorum, RESULTS_QUEUE: quorum}
    return [
        PacedQueue(
            name,
            direct_exchange(ANSWERS if name == RESULTS_QUEUE else EXCHANGE),
            routing_key=name,
            durable=True,
            queue_arguments=more,
            no_declare=declared_elsewhere,
        )
        for name, more in arguments.items()
    ]


def direct_exchange(name: str) -> Exchange:
    """A durable exchange that routes messages by the name of their queue."""
    return Exchange(name, type="direct", durable=True)


class PacedQueue(Queue):  # type: ignore[misc]
    """A queue with its own prefetch count; Celery has a single one for all queues."""

    def consume(self, *arguments: object, **more: object) -> object:
        # The count applies to consumers that start on this channel from now on.
        self.channel.basic_qos(0, PREFETCH[self.name], False)
        return super().consume(*arguments, **more)


def disable_confirms(connection: Connection) -> Connection:
    """Disable publisher confirms, for messages that are sent again if they get lost.

    Waiting for a confirm would double the time of a prediction.
    """
    connection.transport_options = {**connection.transport_options, "confirm_publish": False}
    return connection


class ReplyBackend(RPCBackend):  # type: ignore[misc]
    """Sends results to the reply queue named in the task."""

    def on_task_call(self, producer: object, task_id: str) -> None:
        """Declare nothing: the sender has declared its reply queue once, not for each call."""


class LeanConsumer(Consumer):  # type: ignore[misc]
    """A worker's consumer that acknowledges at once and declares no unused queues."""

    def call_soon_ack(self, acknowledge: Callable[..., None], *arguments: object) -> None:
        """Acknowledge now instead of in the event loop's next iteration.

        That iteration may block until a message arrives, and RabbitMQ may hold back that message
        until it gets this acknowledgement. The worker would idle until the next heartbeat.
        """
        acknowledge(*arguments)

    def connect(self) -> Connection:
        connection = super().connect()
        if self.hub:
            inner = connection.connection
            self.hub.add_reader(inner.sock, frames.reader(inner, log_alarm))
        self._thread = threading.get_ident()
        self.app.alarm.on_raised = self._stop_heartbeats
        return connection

    def _stop_heartbeats(self) -> None:
        """Get this connection blocked as well, because RabbitMQ expects no heartbeats from then on.

        This thread sends none while it waits for the confirm of a chunk's outcome. RabbitMQ would
        close the connection and pass the chunk on, until it looks as if it kills every worker.
        """
        if self.connection is not None and self._thread == threading.get_ident():
            publish_nothing(self.connection.default_channel, ANSWERS)

    def connection_for_read(self, heartbeat: float | None = None) -> Connection:
        """Disable confirms: the predict task replies on this connection too."""
        connection = self.app.connection_for_read(heartbeat=heartbeat)
        return self.ensure_connected(disable_confirms(connection))

    def ensure_connected(self, connection: Connection) -> Connection:
        """Retry every second, for ever; Celery's own pauses grow to half a minute.

        The workers start together with RabbitMQ, which takes longer.
        """
        logged = False

        def log_once(error: Exception, _pause: float) -> None:
            nonlocal logged
            if not logged:
                log.warning("waiting for RabbitMQ: %s", error)
            logged = True
            if self.app.alive_file is not None:
                self.app.alive_file.touch()

        connection.ensure_connection(
            log_once, interval_start=1, interval_step=0, interval_max=1, callback=maybe_shutdown
        )
        self.first_connection_attempt = False
        return connection

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """Skips the step that declares 28 queues for delayed tasks, which we do not use."""

        default_steps = [  # noqa: RUF012
            step
            for step in Consumer.Blueprint.default_steps
            if "delayed_delivery" not in str(step) and step is not DelayedDelivery
        ]
