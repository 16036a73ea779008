"""RabbitMQ's alarms.

While the server is low on memory or disk, RabbitMQ reads nothing from connections that publish. It
says so once such a connection has published something. Without this module, a client would wait for
its answer or confirm and not know why.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from typing import Any

from production_server.errors import QueueBlocked

log = logging.getLogger(__name__)

METHOD_FRAME = 1
BLOCKED = struct.pack(">HH", 10, 60)
UNBLOCKED = struct.pack(">HH", 10, 61)
# No queue has this name, so RabbitMQ drops the message.
NOWHERE = "stackserve.nowhere"


def alarm_in(kind: int, payload: bytes) -> str | None:
    """What a frame on channel 0 says about alarms: the reason, "" for none, None for nothing."""
    if kind != METHOD_FRAME:
        return None
    if payload.startswith(BLOCKED):
        # The reason is a string with its length in front, such as "low on disk".
        return payload[5:].decode("utf-8", "replace") or "low on memory or disk"
    return "" if payload.startswith(UNBLOCKED) else None


def blocked_error(reason: str) -> QueueBlocked:
    return QueueBlocked(
        f"RabbitMQ accepts no messages: its server is {reason}",
        "Try again later. On the server, make room: check df -h and free -m. Predictions and jobs "
        "then continue without a restart.",
    )


def log_alarm(reason: str) -> None:
    if reason:
        log.warning("RabbitMQ accepts no messages: its server is %s", reason)
    else:
        log.warning("RabbitMQ accepts messages again")


def publish_nothing(channel: Any, exchange: str) -> None:
    """Publish a message that goes nowhere: if there is an alarm, RabbitMQ now says so."""
    channel.basic_publish(channel.prepare_message(b""), exchange=exchange, routing_key=NOWHERE)


class Alarm:
    """Follows the alarm on the connections that wait for confirms, for one application."""

    def __init__(self) -> None:
        self.on_raised: Callable[[], None] = lambda: None

    def raised(self, _reason: str) -> None:
        # py-amqp does not pass on the reason that RabbitMQ gives.
        log_alarm("low on memory or disk")
        self.on_raised()

    def lifted(self) -> None:
        log_alarm("")
