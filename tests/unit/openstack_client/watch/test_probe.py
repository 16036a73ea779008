"""Checking readiness over HTTP, against servers that answer well, badly or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from openstack_client.watch.probe import Service, default_row, describe_prediction

PAGE = {
    "card": {"features": [{"name": "glucose", "default": 117}, {"name": "bmi", "default": 32.1}]}
}
ANSWER = {
    "model": "diabetes",
    "version": "diabetes-1",
    "predictions": [{"label": "diabetic", "probability": 0.73}],
}


PROBLEM = {"status": 503, "detail": "its server is low on disk."}


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    servers: list[HTTPServer] = []

    def start(
        page: Any = PAGE,
        answer: Any = ANSWER,
        status: int = 200,
        seen: list[Any] | None = None,
        page_status: int = 200,
    ) -> Service:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(page_status, page)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if seen is not None:
                    seen.append(json.loads(body))
                self._send(status, answer)

            def _send(self, code: int, content: Any) -> None:
                raw = json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *arguments: Any) -> None:
                return

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return Service("127.0.0.1", server.server_port)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_real_prediction(serve: Callable[..., Service]) -> None:
    seen: list[Any] = []
    probe = serve(seen=seen).probe()
    assert probe.ok and probe.summary == "diabetic, 73% sure" and probe.model == "diabetes"
    assert probe.version == "diabetes-1"
    assert seen == [{"glucose": 117.0, "bmi": 32.1}]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"status": 503}, "answers HTTP 503"),
        ({"status": 503, "answer": PROBLEM}, "HTTP 503: its server is low on disk"),
        ({"answer": {"predictions": []}}, "returned no prediction"),
        ({"answer": [1]}, "does not answer like Stackserve"),
        ({"page": {"odd": 1}}, "does not answer like Stackserve"),
    ],
)
def test_anything_else_is_not_ready(
    serve: Callable[..., Service], how: dict[str, Any], words: str
) -> None:
    probe = serve(**how).probe()
    assert not probe.ok and words in probe.summary


def test_why_a_service_is_not_ready(serve: Callable[..., Service]) -> None:
    assert serve(page=PROBLEM, page_status=503).not_ready() == PROBLEM
    assert serve(page={"ready": True}).not_ready() == {}
    assert serve(page="<html>", page_status=502).not_ready() == {}


def test_no_server() -> None:
    probe = Service("127.0.0.1", 1).probe()
    assert not probe.ok and "refuses connections" in probe.summary
    assert Service("127.0.0.1", 1).get_json("/alive") is None
    assert Service("127.0.0.1", 1).not_ready() == {}


def test_proxy_variables_are_ignored(
    serve: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert serve().probe().ok


def test_ipv6_addresses_are_bracketed() -> None:
    assert Service("2001:db8::1").url == "http://[2001:db8::1]:5100"


def test_default_row_and_description() -> None:
    assert default_row(PAGE) == {"glucose": 117.0, "bmi": 32.1}
    assert describe_prediction({"value": 3.5}) == "3.5"
    negative = {"label": "no diabetes", "probability": 0.25, "positive": False}
    assert describe_prediction(negative) == "no diabetes, 75% sure"
    assert describe_prediction({"label": "a", "probabilities": {"a": 0.9}}) == "a"
