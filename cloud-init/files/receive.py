#!/usr/bin/env python3
"""Waits on the service's port for the launcher to deliver the code, and writes it to stdout.

It takes one archive only: the one whose SHA-256 the user data names. Everybody else is told
that the server is being installed. Runs as the service's own account, without privileges.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXPECTED = os.environ["PAYLOAD_SHA256"]
SIZE = int(os.environ["PAYLOAD_SIZE"])
PORT = int(os.environ["PORT"])


class Receiver(BaseHTTPRequestHandler):
    """PUT /stackserve-payload/SHA256 delivers; anything else gets a 503."""

    timeout = 30
    server_version = "Stackserve"
    sys_version = ""

    def do_PUT(self) -> None:
        asked = self.path.rsplit("/", 1)[-1]
        if not self.path.startswith("/stackserve-payload/"):
            self.answer(HTTPStatus.NOT_FOUND, "deliver to /stackserve-payload/SHA256")
        elif asked != EXPECTED or self.headers.get("Content-Length") != str(SIZE):
            self.answer(HTTPStatus.CONFLICT, f"this server waits for {EXPECTED}")
        else:
            body = self.rfile.read(SIZE)
            if hashlib.sha256(body).hexdigest() == EXPECTED:
                self.server.take(body)  # type: ignore[attr-defined]
                self.answer(HTTPStatus.CREATED, "thank you")
                threading.Thread(target=self.server.shutdown).start()
            else:
                self.answer(HTTPStatus.BAD_REQUEST, "that arrived damaged; send it again")

    def do_GET(self) -> None:
        self.answer(HTTPStatus.SERVICE_UNAVAILABLE, "This server is being installed.")

    do_HEAD = do_POST = do_GET

    def answer(self, status: HTTPStatus, text: str) -> None:
        body = f"{text}\n".encode()
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "15")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", PORT), Receiver)
        self.lock = threading.Lock()
        self.taken = False

    def take(self, body: bytes) -> None:
        with self.lock:
            if not self.taken:
                self.taken = True
                sys.stdout.buffer.write(body)
                sys.stdout.buffer.flush()


if __name__ == "__main__":
    socket.setdefaulttimeout(30)
    with Server() as server:
        server.serve_forever(poll_interval=0.2)
