"""Which IDs of clients are used, and that every answer of the front names one."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlencode

import pytest
from flask import Flask

from production_server.web.guard import HttpLimits
from production_server.web.problems import install
from production_server.web.request_ids import HEADER, RequestIds
from tests.unit.production_server.web.cards import BINARY
from tests.unit.production_server.web.fronts import make_front, serving


@pytest.mark.parametrize("sent", [b"a", b"x" * 64, b"2f1c-9.B_c"])
def test_the_client_chooses_the_id(sent: bytes) -> None:
    assert RequestIds().of([(b"host", b"a"), (HEADER, sent)]) == sent.decode()


@pytest.mark.parametrize(
    "sent", [b"", b"x" * 65, b"a b", b"a\n", b"a\r\nb", b'a"', b"\xff", "é".encode(), b"a;b"]
)
def test_anything_else_gets_a_new_id(sent: bytes) -> None:
    ids = RequestIds()
    first, second = ids.of([(HEADER, sent)]), ids.of([])
    assert first != second
    assert {ids.of([(HEADER, one.encode())]) for one in (first, second)} == {first, second}
    assert sent.decode("latin-1").strip() not in (first, second)


def test_two_processes_never_give_the_same_id() -> None:
    assert RequestIds().new() != RequestIds().new()


QUERY = urlencode({feature.name: feature.default for feature in BINARY.features})
REQUESTS = {
    "an answer": b"GET /predict?" + QUERY.encode() + b" HTTP/1.1\r\n",
    "no row": b"GET /predict HTTP/1.1\r\n",
    "Flask": b"GET /nothing HTTP/1.1\r\n",
    "a method": b"DELETE /predict HTTP/1.1\r\n",
    "a long URL": b"GET /predict?a=" + b"1" * 20_000 + b" HTTP/1.1\r\n",
    "a slow body": b"POST /predict HTTP/1.1\r\ncontent-length: 10\r\n",
    "a slow head": b"POST /predict",
    "no HTTP": b"\x00\x01\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_kind_of_answer_names_its_id(name: str) -> None:
    flask = Flask("front")
    install(flask)
    limits = HttpLimits(head_seconds=0.2, body_seconds=0.2, tick=0.05)
    sends_id = name not in ("a slow head", "no HTTP")
    request = REQUESTS[name]
    if sends_id:
        request += b"host: a\r\nx-request-id: mine.1\r\nconnection: close\r\n\r\n"
    with (
        serving(make_front(flask, limits)) as port,
        socket.create_connection(("127.0.0.1", port), 10) as connection,
    ):
        connection.settimeout(10)
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    found = [line[14:] for line in head.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    assert len(found) == 1
    if sends_id:
        assert found == [b"mine.1"]
    if not head.startswith(b"HTTP/1.1 200"):
        assert json.loads(body)["request_id"].encode() == found[0]
