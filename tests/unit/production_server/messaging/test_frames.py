"""Frames are read whole, however the network splits them."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace

import pytest

from production_server.messaging.frames import reader, take_frame

Frame = tuple[int, int, bytes]

ALARMS: list[str] = []
FRAMES: list[Frame] = [(1, 1, b"method"), (2, 1, b""), (3, 1, b"\xce" * 300), (8, 0, b"")]


def encoded(frames: list[Frame]) -> bytes:
    return b"".join(
        struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"
        for kind, channel, payload in frames
    )


class Connection:
    """The parts of py-amqp's connection that the reader uses, over one end of a socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        self.transport = SimpleNamespace(sock=sock, _read_buffer=b"")
        self.client_properties = {"capabilities": {"connection.blocked": True, "other": True}}
        self.seen: list[Frame] = []

    def on_inbound_frame(self, frame: Frame) -> None:
        self.seen.append(frame)


@pytest.mark.parametrize("size", [1, 7, 8, 100, 10_000])
def test_frames_arrive_whole_and_in_order(size: int) -> None:
    here, there = socket.socketpair()
    with here, there:
        connection = Connection(here)
        read = reader(connection, ALARMS.append)
        data = encoded(FRAMES * 2)
        for start in range(0, len(data), size):
            there.sendall(data[start : start + size])
            read()
        assert connection.seen == FRAMES * 2
        assert connection.transport._read_buffer == b""


def test_the_rest_of_a_frame_stays_in_py_amqps_buffer() -> None:
    whole = encoded(FRAMES[:1])
    transport = SimpleNamespace(_read_buffer=whole + whole[:5])
    assert take_frame(transport) == FRAMES[0]
    assert take_frame(transport) is None
    assert transport._read_buffer == whole[:5]


def test_a_closed_connection_is_an_error() -> None:
    here, there = socket.socketpair()
    with here:
        read = reader(Connection(here), ALARMS.append)
        there.close()
        with pytest.raises(ConnectionResetError):
            read()


def test_an_invalid_frame_is_an_error() -> None:
    transport = SimpleNamespace(_read_buffer=encoded(FRAMES[:1])[:-1] + b"\x00")
    with pytest.raises(ConnectionResetError):
        take_frame(transport)


def test_publishing_does_not_read_from_the_socket() -> None:
    here, there = socket.socketpair()
    with here, there:
        connection = Connection(here)
        before = connection.client_properties
        reader(connection, ALARMS.append)
        assert connection.client_properties["capabilities"] == {
            "connection.blocked": False,
            "other": True,
        }
        assert before["capabilities"]["connection.blocked"], (
            "other connections share this dictionary"
        )
