"""A RabbitMQ node that also listens for TLS, as on a server, for tests without root."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from benchmarks.scale import broker

from production_server.local.rabbitmq import free_port

FILES = broker.FILES


def make_certificates(folder: Path) -> Path:
    """Make an authority and a broker's certificate with the server's own step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "chown", lambda *_: None)
        return broker.make_certificates(folder)


class TlsNode(broker.TlsNode):
    """On 127.0.0.1, like its parent, and with the virtual host `/`."""

    def __init__(self, folder: Path) -> None:
        tls = make_certificates(folder.parent / f"{folder.name}-tls")
        super().__init__(folder, tls, "127.0.0.1", free_port())
