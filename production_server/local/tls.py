"""TLS for the service on this machine: the proxy beside it, while it serves."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from production_server.local.console import Console
from production_server.local.rabbitmq import free_port
from production_server.local.supervisor import Supervisor
from production_server.proxy import certificates
from production_server.proxy.process import check
from production_server.settings import Settings

LOOPBACK = "127.0.0.1"


@contextmanager
def proxied(settings: Settings, console: Console) -> Iterator[Settings]:
    """Run the proxy at the address of the settings. Yields those for the service behind it."""
    inner = settings.model_copy(
        update={
            "host": LOOPBACK,
            "port": free_port(),
            "tls_host": settings.host,
            "tls_port": settings.port,
        }
    )
    _announce(check(inner).authority, console)
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(inner.environment(), logs, console)
    supervisor.add("proxy", [sys.executable, "-m", "production_server", "proxy"])
    running = threading.Thread(target=supervisor.run, name="proxy")
    running.start()
    try:
        yield inner
    finally:
        supervisor.stop_soon()
        running.join()


def _announce(authority: Path | None, console: Console) -> None:
    if authority is not None:
        console.step(f"Certificate authority: {authority}")
        console.step(f"Its SHA-256 fingerprint: {certificates.fingerprint(authority)}")
