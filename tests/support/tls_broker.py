"""A RabbitMQ node that also listens for TLS, as on a server: with its lines of stackserve.conf."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from openstack_client.places import TEMPLATES
from production_server.local.rabbitmq import RabbitNode, free_port
from production_server.remote.rabbitmqctl import RabbitMQ

FILES = TEMPLATES / "files"


def make_certificates(folder: Path) -> Path:
    """Make an authority and a broker's certificate with the server's own step."""
    sys.path.append(str(FILES / "steps"))
    import certificates  # type: ignore[import-not-found]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificates, "TLS", folder)
        patch.setattr(certificates, "IN_MEMORY", None)
        for name in ("AUTHORITY", "CERTIFICATE", "KEY"):
            patch.setattr(certificates, name, folder / getattr(certificates, name).name)
        patch.setattr(shutil, "chown", lambda *_: None)
        certificates.make_certificates()
    return folder


class TlsNode(RabbitNode):
    """On 127.0.0.1, like its parent, and with the virtual host `/`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tls_port = free_port()
        self.tls = make_certificates(folder.parent / f"{folder.name}-tls")

    @property
    def authority(self) -> Path:
        return self.tls / "authority.pem"

    @property
    def rabbitmq(self) -> RabbitMQ:
        program = "/usr/lib/rabbitmq/bin/rabbitmqctl"
        return RabbitMQ(program=program, environment=self.environment(), vhost="/")

    def _configure(self) -> None:
        super()._configure()
        lines = (FILES / "rabbitmq" / "stackserve.conf").read_text().splitlines()
        with (self.folder / "rabbitmq.conf").open("a") as config:
            config.write(f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n")
            for line in lines:
                if line.startswith("ssl_options."):
                    config.write(line.replace("/etc/rabbitmq/tls", str(self.tls)) + "\n")
