"""Frames over TLS: nothing waits for half a record, and nothing stays in a buffer."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from production_server.messaging.frames import reader
from production_server.remote.access import SERVER_NAME
from tests.support.tls_broker import make_certificates
from tests.unit.production_server.messaging.test_frames import FRAMES, Connection, encoded


class Broker:
    """The other end of a TLS connection, which decides when each byte arrives."""

    def __init__(self, tls: Path, sock: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "broker.pem", tls / "broker.key")
        self._in, self._out, self._sock = ssl.MemoryBIO(), ssl.MemoryBIO(), sock
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._sock.sendall(self._out.read())
                self._in.write(self._sock.recv(65536))
            else:
                # With TLS 1.3, these are tickets for later sessions: data, but none for us.
                self._sock.sendall(self._out.read())
                return

    def records(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._out.read()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[ssl.SSLSocket, Broker, socket.socket]]:
    tls = make_certificates(tmp_path / "tls")
    here, there = socket.socketpair()
    with here, there:
        broker = Broker(tls, there)
        shaking = threading.Thread(target=broker.shake_hands)
        shaking.start()
        context = ssl.create_default_context(cafile=str(tls / "authority.pem"))
        sock = context.wrap_socket(here, server_hostname=SERVER_NAME)
        # With TLS 1.3, the client is done before the server.
        shaking.join()
        yield sock, broker, there


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_frames_arrive_whole_however_their_records_are_split(
    ends: tuple[ssl.SSLSocket, Broker, socket.socket], size: int
) -> None:
    sock, broker, there = ends
    connection = Connection(sock)
    read = reader(connection, lambda _: None)
    read()  # the tickets
    data = broker.records(encoded(FRAMES[:1])) + broker.records(encoded(FRAMES[1:]))
    for start in range(0, len(data), size):
        there.sendall(data[start : start + size])
        read()
    if len(connection.seen) < len(FRAMES):
        read()  # the second record was in the same packet
    assert connection.seen == FRAMES
    assert sock.gettimeout() is None


@pytest.mark.timeout(20)
def test_the_end_of_the_connection_is_an_error(
    ends: tuple[ssl.SSLSocket, Broker, socket.socket],
) -> None:
    sock, _, there = ends
    read = reader(Connection(sock), lambda _: None)
    read()
    there.close()
    with pytest.raises(OSError, match=r"closed the connection|EOF"):
        read()
