"""Remote control of the processes, which also works on a worker VM that may declare nothing.

Both exchanges are durable, so the queues of worker VMs stay bound to them when RabbitMQ restarts.
"""

from __future__ import annotations

from typing import Any

from celery.app.control import Control
from kombu import Exchange, Queue
from kombu.pidbox import Mailbox


class DurableMailbox(Mailbox):  # type: ignore[misc]
    """A mailbox with durable exchanges, which the process that asks declares."""

    # A worker VM's process has a queue that was declared when the VM was added.
    predeclared = False

    def _get_exchange(self, namespace: str, type: str) -> Exchange:
        return self._durable(self.exchange_fmt % namespace, type)

    def _get_reply_exchange(self, namespace: str) -> Exchange:
        return self._durable(self.reply_exchange_fmt % namespace, "direct")

    def _durable(self, name: str, kind: str) -> Exchange:
        return Exchange(
            name, type=kind, durable=True, delivery_mode="transient", no_declare=self.predeclared
        )

    def get_queue(self, hostname: str) -> Queue:
        queue = super().get_queue(hostname)
        queue.no_declare = self.predeclared
        return queue

    def _publish_reply(
        self,
        reply: object,
        exchange: str,
        routing_key: str,
        ticket: str,
        channel: Any = None,
        producer: Any = None,
        **options: object,
    ) -> None:
        """Reply without declaring the exchange: whoever asked has done so."""
        channel = channel or self.connection.default_channel
        headers = {"ticket": ticket, "clock": self.clock.forward()}
        with self.producer_or_acquire(producer, channel) as sender:
            sender.publish(
                reply, exchange=exchange, routing_key=routing_key, headers=headers, **options
            )


class PredeclaredMailbox(DurableMailbox):
    """The mailbox of a process that may declare nothing."""

    predeclared = True


class DurableControl(Control):  # type: ignore[misc]
    """Remote control on the server itself."""

    Mailbox = DurableMailbox


class PredeclaredControl(Control):  # type: ignore[misc]
    """Remote control on a worker VM."""

    Mailbox = PredeclaredMailbox
