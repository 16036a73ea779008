"""The supervisor's control socket: one JSON request, one JSON reply. Only root can open it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from openstack_lab.errors import NotRunningError

Handle = Callable[[dict[str, Any]], dict[str, Any]]


@contextlib.contextmanager
def serve(path: Path, handle_request: Handle) -> Iterator[None]:
    """Serve requests on `path` in threads until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = json.loads(self.rfile.readline() or b"{}")
            self.wfile.write(json.dumps(handle_request(request)).encode() + b"\n")

    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
    finally:
        os.umask(before)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        path.unlink(missing_ok=True)


def ask(path: Path, verb: str, timeout: float = 60.0, **details: str) -> list[dict[str, Any]]:
    """Send a request to the supervisor. Returns the status of every unit."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(json.dumps({"verb": verb, **details}).encode() + b"\n")
            reply = connection.makefile("rb").readline()
    except OSError as error:
        raise NotRunningError(
            f"No lab answers at {path}: {error}", "Start one: sudo scripts/lab up"
        ) from error
    units: list[dict[str, Any]] = json.loads(reply)["units"] if reply else []
    return units
