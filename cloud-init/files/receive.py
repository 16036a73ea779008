#!/usr/bin/env python3
"""Wait on the service's port for the code, and write it to stdout.

The launcher sends it; its SHA-256 must be the one in the user data.
Other requests get the reply that this machine is being installed. Runs without privileges, as the
service's account.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Refusal = tuple[HTTPStatus, str]

PAYLOAD = os.environ["PAYLOAD_SHA256"]
PAYLOAD_SIZE = int(os.environ["PAYLOAD_SIZE"])


def expected(path: str, size: int) -> Refusal | None:
    if not path.startswith("/stackserve-payload/"):
        return HTTPStatus.SERVICE_UNAVAILABLE, "This server is waiting for its code."
    if path != f"/stackserve-payload/{PAYLOAD}" or size != PAYLOAD_SIZE:
        return HTTPStatus.CONFLICT, f"This server is waiting for {PAYLOAD}."
    return None


def whole(body: bytes) -> Refusal | None:
    if hashlib.sha256(body).hexdigest() != PAYLOAD:
        return HTTPStatus.BAD_REQUEST, "The code arrived damaged; send it again."
    return None


class Receiver(BaseHTTPRequestHandler):
    """PUT delivers; every other request gets a 503."""

    timeout = 30
    server_version = "Stackserve"
    sys_version = ""
    server: Server

    def do_PUT(self) -> None:
        size = self.headers.get("Content-Length", "")
        length = int(size) if size.isdecimal() else 0
        refusal = expected(self.path, length)
        if refusal is None:
            body = self.rfile.read(length)
            refusal = whole(body)
            if refusal is None:
                self.server.take(body)
                refusal = HTTPStatus.CREATED, "Accepted."
        self.answer(*refusal)

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
    """Ends after the first valid delivery."""

    # Finish a response that is under way before the process ends.
    daemon_threads = False

    def __init__(self, port: int) -> None:
        super().__init__(("0.0.0.0", port), Receiver)
        self._lock = threading.Lock()
        self._taken = False

    def take(self, body: bytes) -> None:
        with self._lock:
            if self._taken:
                return
            self._taken = True
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        # The launcher sends it once: a reset must not lose it after the reply.
        if stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
            os.fsync(sys.stdout.fileno())
        threading.Thread(target=self.shutdown).start()


if __name__ == "__main__":
    with Server(int(os.environ["PORT"])) as server:
        server.serve_forever(poll_interval=0.2)
