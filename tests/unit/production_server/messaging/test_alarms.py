"""What RabbitMQ says about its alarms, in frames as it sends them."""

from __future__ import annotations

import socket
import struct

import pytest
from amqp import spec

from production_server.errors import QueueError
from production_server.messaging.alarms import BLOCKED, UNBLOCKED, alarm_in, blocked_error
from production_server.messaging.frames import reader
from tests.unit.production_server.messaging.test_frames import FRAMES, Connection, encoded


def blocked(reason: str) -> bytes:
    text = reason.encode()
    return BLOCKED + bytes([len(text)]) + text


def test_the_methods_are_those_of_the_protocol() -> None:
    assert struct.pack(">HH", *spec.Connection.Blocked) == BLOCKED
    assert struct.pack(">HH", *spec.Connection.Unblocked) == UNBLOCKED


@pytest.mark.parametrize(
    ("kind", "payload", "alarm"),
    [
        (1, blocked("low on memory & disk"), "low on memory & disk"),
        (1, blocked(""), "low on memory or disk"),
        (1, BLOCKED, "low on memory or disk"),
        (1, UNBLOCKED, ""),
        (1, struct.pack(">HH", *spec.Connection.Close) + b"rest", None),
        (8, b"", None),
        (3, BLOCKED, None),
    ],
)
def test_what_a_frame_says(kind: int, payload: bytes, alarm: str | None) -> None:
    assert alarm_in(kind, payload) == alarm


def test_alarms_between_other_frames() -> None:
    """Also between the parts of one answer, which are frames of another channel."""
    alarms: list[str] = []
    here, there = socket.socketpair()
    with here, there:
        connection = Connection(here)
        read = reader(connection, alarms.append)
        first, *rest = FRAMES
        lifted = [(1, 0, UNBLOCKED)]
        there.sendall(encoded([first, (1, 0, blocked("low on disk")), *rest, *lifted, first]))
        read()
    assert alarms == ["low on disk", ""]
    assert connection.seen == [*FRAMES, first]


def test_another_channel_cannot_raise_an_alarm() -> None:
    alarms: list[str] = []
    here, there = socket.socketpair()
    with here, there:
        connection = Connection(here)
        there.sendall(encoded([(1, 3, blocked("low on disk"))]))
        reader(connection, alarms.append)()
    assert not alarms
    assert len(connection.seen) == 1


def test_the_error_says_what_where_and_what_next() -> None:
    error = blocked_error("low on disk")
    assert isinstance(error, QueueError)
    assert str(error) == "RabbitMQ accepts no messages: its server is low on disk"
    assert "df -h" in error.remedy
