"""Without a cloud: serve on this machine, by becoming the service's own process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def command(host: str | None, port: int | None, services: bool, workers: int | None) -> list[str]:
    """The command line of the embedded service."""
    arguments = [sys.executable, "-m", "production_server", "serve"]
    if host is not None:
        arguments += ["--host", host]
    if port is not None:
        arguments += ["--port", str(port)]
    if services:
        arguments += ["--services"]
    if workers is not None:
        arguments += ["--workers", str(workers)]
    return arguments


def become(arguments: list[str]) -> None:
    """Replace this process, so that Ctrl-C is the service's own."""
    os.chdir(ROOT)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(arguments[0], arguments)
