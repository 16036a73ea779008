"""A RabbitMQ node that also listens for TLS, as on a server: with its lines of stackserve.conf.

Certificates and the settings of workers come from the programs in cloud-init/ that make them there.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from openstack_client.places import TEMPLATES
from production_server.local.rabbitmq import RabbitNode
from production_server.remote.access import Ticket
from production_server.remote.rabbitmqctl import RabbitMQ

FILES = TEMPLATES / "files"
STEPS = FILES / "steps"
JOIN = TEMPLATES / "roles" / "worker" / "steps" / "join.py"


def load_step(path: Path) -> Any:
    """A copy of a server's program as a module, whose paths may be changed."""
    if str(STEPS) not in sys.path:
        sys.path.append(str(STEPS))  # the programs import each other from there
    spec = importlib.util.spec_from_file_location(f"copy_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_certificates(folder: Path) -> Path:
    """Make an authority and a broker's certificate with the server's own step. It needs root."""
    step = load_step(STEPS / "certificates.py")
    step.TLS, step.IN_MEMORY = folder, None
    for name in ("AUTHORITY", "CERTIFICATE", "KEY"):
        setattr(step, name, folder / getattr(step, name).name)
    step.make_certificates()
    return folder


def worker_settings(ticket: Ticket, authority: Path) -> dict[str, str]:
    """The environment of a worker with this ticket, as on a worker VM."""
    step = load_step(JOIN)
    step.AUTHORITY = authority
    lines = step.broker_settings(ticket._asdict()).splitlines()
    return dict(line.split("=", 1) for line in lines)


class TlsNode(RabbitNode):
    """Listens like its parent, and for TLS. It has the virtual host `/`."""

    def __init__(self, folder: Path, tls: Path, address: str, tls_port: int) -> None:
        """`tls` has the certificates."""
        super().__init__(folder)
        self.tls, self.tls_port = tls, tls_port
        self._address = address

    @property
    def authority(self) -> Path:
        return self.tls / "authority.pem"

    @property
    def pids(self) -> list[int]:
        """The processes that it has started."""
        return [process.pid for process in self._processes]

    @property
    def rabbitmq(self) -> RabbitMQ:
        program = "/usr/lib/rabbitmq/bin/rabbitmqctl"
        return RabbitMQ(program=program, environment=self.environment(), vhost="/")

    def _configure(self) -> None:
        super()._configure()
        lines = (FILES / "rabbitmq" / "stackserve.conf").read_text().splitlines()
        with (self.folder / "rabbitmq.conf").open("a") as config:
            config.write(f"listeners.ssl.default = {self._address}:{self.tls_port}\n")
            for line in lines:
                if line.startswith("ssl_options."):
                    config.write(line.replace("/etc/rabbitmq/tls", str(self.tls)) + "\n")
