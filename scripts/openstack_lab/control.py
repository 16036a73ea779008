"""One JSON question and one JSON answer over a socket that only root can open."""

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

Answer = Callable[[dict[str, Any]], dict[str, Any]]


@contextlib.contextmanager
def serve(path: Path, answer: Answer) -> Iterator[None]:
    """Answer questions on `path` from threads until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            question = json.loads(self.rfile.readline() or b"{}")
            self.wfile.write(json.dumps(answer(question)).encode() + b"\n")

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
    """Ask the supervisor; gives the report of every unit."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(timeout)
            wire.connect(str(path))
            wire.sendall(json.dumps({"verb": verb, **details}).encode() + b"\n")
            reply = wire.makefile("rb").readline()
    except OSError as wrong:
        raise NotRunningError(
            f"No lab answers at {path}: {wrong}", "Start one: sudo scripts/lab up"
        ) from wrong
    units: list[dict[str, Any]] = json.loads(reply)["units"] if reply else []
    return units
