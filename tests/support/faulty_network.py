"""A forward proxy between the launcher and the lab's APIs that injects faults.

The launcher uses it through http_proxy. Every request reaches the real service unless a rule
matches. A rule can respond with a status, reset the connection before or after the service has
handled the request, change the response, or call a function of the test.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}
EVER = 10**6


@dataclass
class Rule:
    """What to do with the next `times` requests whose 'METHOD url' matches `pattern`."""

    pattern: str
    times: int = 1
    after: int = 0
    status: int | None = None
    body: str = ""
    reset: str = ""  # "before" or "after" the service handles the request
    change: Callable[[Any], Any] | None = None
    call: Callable[[], None] | None = None
    seen: int = field(default=0, init=False)

    def takes(self, request: str) -> bool:
        if not re.search(self.pattern, request):
            return False
        self.seen += 1
        return self.after < self.seen <= self.after + self.times


class FaultyNetwork:
    """The proxy, as a context manager. `log` holds 'METHOD url' of every request.

    `defaults` are rules that apply where no other matches; `clear` keeps them.
    """

    def __init__(self, *defaults: Rule) -> None:
        self.defaults = defaults
        self.rules: list[Rule] = []
        self.log: list[str] = []
        self.lock = threading.Lock()
        network = self

        class Handler(_Handler):
            faults = network

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def rule(self, pattern: str, **options: Any) -> Rule:
        rule = Rule(pattern, **options)
        with self.lock:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        with self.lock:
            self.rules.clear()
            self.log.clear()

    def match(self, request: str) -> Rule | None:
        with self.lock:
            self.log.append(request)
            rules = (*self.rules, *self.defaults)
            return next((rule for rule in rules if rule.takes(request)), None)

    def __enter__(self) -> FaultyNetwork:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    faults: FaultyNetwork
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        rule = self.faults.match(f"{self.command} {self.path}")
        if rule and rule.call:
            rule.call()
        if rule and rule.reset == "before":
            self._reset()
            return
        if rule and rule.status is not None:
            headers = [
                ("Content-Type", "application/json"),
                ("x-openstack-request-id", "req-fault"),
                ("x-compute-request-id", "req-fault"),
            ]
            self._respond(rule.status, headers, rule.body.encode())
            return
        status, headers, content = self._forward(body)
        if rule and rule.reset == "after":
            self._reset()
            return
        if rule and rule.change and content and status == HTTPStatus.OK:
            content = json.dumps(rule.change(json.loads(content))).encode()
        self._respond(status, headers, content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

    def _forward(self, body: bytes | None) -> tuple[int, list[tuple[str, str]], bytes]:
        target = urlsplit(self.path)
        connection = http.client.HTTPConnection(target.netloc, timeout=120)
        path = target.path + (f"?{target.query}" if target.query else "")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        try:
            connection.request(self.command, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _respond(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # of a client that was killed
            self.wfile.write(content)
        self.close_connection = True

    def _reset(self) -> None:
        """Close the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *arguments: Any) -> None:
        return

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            return
