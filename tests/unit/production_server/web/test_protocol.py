"""Clients that are slow, that send or ask too much, or that come in crowds, on real connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest
from flask import Flask, request

from production_server.web.guard import HttpLimits
from tests.unit.production_server.web.cards import BINARY
from tests.unit.production_server.web.fronts import make_front, serving

ROW = json.dumps({feature.name: feature.default for feature in BINARY.features}).encode()
SMALL = HttpLimits(
    connections=20,
    head_seconds=0.5,
    body_grace=0.5,
    body_rate=10_000,
    discard_seconds=0.5,
    write_seconds=0.5,
    held_bytes=1 << 20,
    tick=0.05,
)


def make_flask() -> Flask:
    app = Flask("behind")
    app.config["stopped"] = threading.Event()

    @app.get("/ready")
    def ready() -> str:
        return "ready"

    @app.post("/jobs")
    def upload() -> str:
        return str(len(request.stream.read()))

    @app.get("/jobs/<job_id>/result")
    def result(job_id: str) -> Any:
        def pieces() -> Iterator[bytes]:
            try:
                for _ in range(int(job_id)):
                    yield b"x" * 1_000_000
            finally:
                app.config["stopped"].set()

        return app.response_class(pieces())

    return app


@pytest.fixture
def flask() -> Flask:
    return make_flask()


@pytest.fixture
def port(flask: Flask) -> Iterator[int]:
    with serving(make_front(flask, SMALL)) as port:
        yield port


def connected(port: int, data: bytes = b"", address: str = "127.0.0.1") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0))
    client.sendall(data)
    return client


def answer(client: socket.socket) -> tuple[int, dict[str, Any]]:
    """The status and the JSON body of the answer; the server closes the connection after it."""
    data = b""
    with closing(client), suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def head(length: int, path: str = "/predict", *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def predicts(port: int) -> bool:
    return httpx.post(f"http://127.0.0.1:{port}/predict", content=ROW).status_code == 200


@pytest.mark.parametrize("start", [b"GET /", b"GET /ping HTTP/1.1\r\nHost: localhost\r\nA: "])
def test_headers_that_do_not_end_get_408(start: bytes, port: int) -> None:
    client = connected(port)
    stop = time.monotonic() + 3
    with suppress(OSError):
        while time.monotonic() < stop:
            client.sendall(start[:1] or b"x")
            start = start[1:]
            client.settimeout(0.05)
            with suppress(TimeoutError):
                if client.recv(1, socket.MSG_PEEK):
                    break
    client.settimeout(5)
    assert time.monotonic() < stop
    status, body = answer(client)
    assert (status, body["code"]) == (408, "request_timeout")
    assert "headers" in body["detail"]


def test_a_connection_without_a_request_is_closed(port: int) -> None:
    with closing(connected(port)) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize("path", ["/predict", "/jobs"])
@pytest.mark.parametrize("pause", [0.05, 10])
def test_a_body_that_drips_or_stalls_gets_408(path: str, pause: float, port: int) -> None:
    started = time.monotonic()
    client = connected(port, head(10_000, path, "Content-Type: application/json") + b"[")
    client.settimeout(pause)
    while time.monotonic() - started < 5:
        with suppress(TimeoutError):
            client.recv(1, socket.MSG_PEEK)
            break
        client.sendall(b" ")
    client.settimeout(5)
    status, body = answer(client)
    assert (status, body["code"]) == (408, "request_timeout")
    assert "10000 bytes per second" in body["detail"]
    assert time.monotonic() - started < 3


def test_a_body_that_is_slow_but_fast_enough_is_read(port: int) -> None:
    body = b" " * 2000 + ROW
    client = connected(port, head(len(body), "/predict", "Connection: close"))
    for at in range(0, len(body), 100):
        client.sendall(body[at : at + 100])
        time.sleep(0.005)
    assert answer(client)[0] == 200


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 20_000), 414, "url_too_long"),
        (b"GET / HTTP/1.1\r\n%s\r\n" % (b"A: b\r\n" * 200), 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nA: %s\r\n\r\n" % (b"x" * 40_000), 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nA: %s" % (b"x" * 4_000_000), 431, "headers_too_large"),
        (b"GET /%s" % (b"x" * 4_000_000), 431, "headers_too_large"),
        (b"nonsense\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense", 400, "malformed_request"),
    ],
    ids=["url", "count", "header", "endless header", "endless url", "nonsense", "chunk"],
)
def test_what_is_too_large_or_malformed(
    request_head: bytes, status: int, code: str, port: int
) -> None:
    client = connected(port)
    with suppress(ConnectionError):
        client.sendall(request_head)
    try:
        found, body = answer(client)
    except IndexError:  # the rest of what was sent cut the answer off
        assert len(request_head) > 1_000_000
    else:
        assert (found, body["code"]) == (status, code)
        assert body["remedy"]
    assert predicts(port)


def test_an_upgrade_is_ignored(port: int) -> None:
    asked = {"Connection": "upgrade", "Upgrade": "h2c"}
    answered = httpx.get(f"http://127.0.0.1:{port}/ready", headers=asked)
    assert answered.status_code == 200


def test_idle_connections_make_room_for_new_ones(port: int) -> None:
    idle = [connected(port) for _ in range(60)]
    assert predicts(port)
    for client in idle:
        client.close()


def test_idle_connections_do_not_displace_a_client_that_sends_requests(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/ready").status_code == 200
        opened = client.get("/ready", headers={"X-Count": "2"})
        stream = opened.extensions["network_stream"]
        address = stream.get_extra_info("client_addr")
        idle = [connected(port) for _ in range(60)]
        time.sleep(0.1)
        again = client.get("/ready").extensions["network_stream"]
        assert again.get_extra_info("client_addr") == address
    for one in idle:
        one.close()


def test_connections_over_the_limit_get_503_with_a_reason(port: int) -> None:
    busy = [connected(port, head(10_000, "/predict")) for _ in range(SMALL.connections)]
    time.sleep(0.1)
    status, body = answer(connected(port, b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert (status, body["code"]) == (503, "too_many_connections")
    for client in busy:
        client.close()
    time.sleep(0.2)
    assert predicts(port)


def incomplete(port: int, address: str) -> socket.socket:
    client = connected(port, head(500_000) + b"[" + b" " * 400_000, address)
    time.sleep(0.1)
    return client


def test_the_oldest_of_too_many_incomplete_bodies_is_refused() -> None:
    with serving(make_front(make_flask(), HttpLimits(held_bytes=1 << 20))) as port:
        clients = [incomplete(port, f"127.0.0.{number}") for number in (1, 2, 3)]
        status, problem = answer(clients[0])
        assert (status, problem["code"]) == (503, "too_many_bodies")
        assert "your address" not in problem["detail"]
        for client in clients:
            client.close()


def test_one_address_may_hold_half_of_the_incomplete_bodies() -> None:
    with serving(make_front(make_flask(), HttpLimits(held_bytes=1 << 20))) as port:
        other = incomplete(port, "127.0.0.2")
        clients = [incomplete(port, "127.0.0.1") for _ in range(3)]
        for client in clients[:2]:
            status, problem = answer(client)
            assert (status, problem["code"]) == (503, "too_many_bodies")
            assert "from your address" in problem["detail"]
        rest = b" " * (500_000 - 400_001 - len(ROW) - 1) + ROW + b"]"
        other.sendall(rest)
        assert other.recv(100).startswith(b"HTTP/1.1 200")
        for client in (other, clients[2]):
            client.close()


def test_an_early_answer_reaches_a_client_that_goes_on_sending(port: int) -> None:
    client = connected(port, head(50_000_000))
    with suppress(OSError):
        client.sendall(b"[" + b" " * 3_000_000)
    status, problem = answer(client)
    assert (status, problem["code"]) == (413, "body_too_large")


def test_readers_that_stall_hold_no_page_and_are_disconnected(flask: Flask) -> None:
    with serving(make_front(flask, HttpLimits(write_seconds=2))) as port:
        ask = b"GET /jobs/500/result HTTP/1.1\r\nHost: localhost\r\n\r\n"
        stalled = [connected(port, ask) for _ in range(19)]
        time.sleep(0.2)
        assert httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).text == "ready"
        assert not flask.config["stopped"].is_set(), "the page waited for a reader to be dropped"
        assert flask.config["stopped"].wait(5)
        taken = 0
        with suppress(ConnectionError):
            while piece := stalled[0].recv(1 << 20):
                taken += len(piece)
        assert taken < 20_000_000
        for client in stalled:
            client.close()


def test_an_answer_ends_when_its_client_leaves(port: int, flask: Flask) -> None:
    client = connected(port, b"GET /jobs/1000000/result HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.recv(1000)
    client.close()
    assert flask.config["stopped"].wait(3)


def test_results_that_many_clients_want_are_refused_with_a_reason() -> None:
    with serving(make_front(make_flask(), HttpLimits(write_seconds=5))) as port:
        ask = b"GET /jobs/500/result HTTP/1.1\r\nHost: localhost\r\n\r\n"
        stalled = [connected(port, ask) for _ in range(32)]
        time.sleep(0.3)
        answered = httpx.get(f"http://127.0.0.1:{port}/jobs/1/result")
        assert (answered.status_code, answered.json()["code"]) == (429, "too_many_downloads")
        assert answered.headers["Retry-After"]
        for client in stalled:
            client.close()


def test_a_small_answer_that_is_never_read_is_dropped(flask: Flask) -> None:
    """Small answers fit in the buffers, but not as many as are asked for.

    The client may not notice: its full buffers can hide the reset.
    """
    front = make_front(flask, SMALL)
    rows = b"[%s]" % b",".join([ROW] * 60)
    with serving(front) as port, closing(connected(port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises(OSError):
            for _ in range(100_000):
                client.sendall(head(len(rows)) + rows)
        deadline = time.monotonic() + 15
        while front.guard._connections:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_few_requests_may_be_pipelined_but_not_thousands(port: int) -> None:
    one = head(len(ROW)) + ROW
    with closing(connected(port, one * 3)) as client:
        data = b""
        while data.count(b"HTTP/1.1 200") < 3:
            data += client.recv(65536)
    with closing(connected(port)) as client, suppress(ConnectionError):
        client.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000)
        data = b""
        while piece := client.recv(65536):
            data += piece
        assert data.count(b"HTTP/1.1 200") < 50
    assert predicts(port)


def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            assert client.post("/predict", content=ROW).status_code == 200
            assert client.get("/ready").text == "ready"


def test_connections_stay_open_longer_than_clients_reuse_them() -> None:
    # A server that closes first drops requests which clients just sent. httpx reuses for 5 s, which
    # is also when Uvicorn would close.
    assert HttpLimits().head_seconds > 5
    with serving(make_front(), timeout_keep_alive=0) as port, closing(connected(port)) as client:
        for _ in range(3):
            client.sendall(head(len(ROW)) + ROW)
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(0.1)
