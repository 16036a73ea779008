"""Reads whatever has arrived from RabbitMQ with one system call.

py-amqp makes some fifteen for each message; at a message a request that is a third of its time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

CHUNK_BYTES = 256 * 1024
# type, channel, size of the payload; a frame ends with one more byte
HEADER = struct.Struct(">BHI")
END = 0xCE


def reader(connection: Any) -> Callable[[], None]:
    """What an event loop shall call when the socket of this py-amqp connection is readable."""
    # The loop brings all news; py-amqp need not look for some before it publishes, and find the
    # next task there, in the middle of this one.
    capabilities = {**connection.client_properties["capabilities"], "connection.blocked": False}
    connection.client_properties = {**connection.client_properties, "capabilities": capabilities}
    transport = connection.transport
    sock = transport.sock
    # A TLS socket may hold bytes that no loop would hear of.
    pending: Callable[[], int] = getattr(sock, "pending", lambda: 0)

    def read() -> None:
        data = sock.recv(CHUNK_BYTES)
        while data and pending():
            data += sock.recv(CHUNK_BYTES)
        if not data:
            raise ConnectionResetError("RabbitMQ closed the connection")
        # py-amqp's own place for bytes that it has not used yet: it may read between two frames.
        transport._read_buffer += data
        while (frame := take_frame(transport)) is not None:
            connection.on_inbound_frame(frame)

    return read


def take_frame(transport: Any) -> tuple[int, int, bytes] | None:
    """The next whole frame of the buffer as (type, channel, payload)."""
    buffer: bytes = transport._read_buffer
    if len(buffer) < HEADER.size:
        return None
    kind, channel, size = HEADER.unpack_from(buffer)
    end = HEADER.size + size
    if len(buffer) <= end:
        return None
    if buffer[end] != END:
        raise ConnectionResetError("RabbitMQ sent something that is no AMQP frame")
    transport._read_buffer = buffer[end + 1 :]
    return kind, channel, buffer[HEADER.size : end]
