"""Worker VMs without VMs: worker processes that reach the broker as those on a VM do."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from production_server.local.rabbitmq import free_port
from production_server.messaging.names import worker_node
from production_server.model.registry import Registry
from production_server.remote import workers
from production_server.remote.access import Ticket
from production_server.remote.command import ServiceProcess
from production_server.settings import Settings, load_settings
from production_server.worker.status import DISCONNECTED, TAKING_TASKS
from tests.support.service import ROOT
from tests.support.tls_broker import TlsNode

PATIENCE = 180.0


class Front:
    """A server whose RabbitMQ lets worker VMs join. It has no worker of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = TlsNode(folder / "rabbit")
        self.node.start()
        self.settings = load_settings(
            home=folder / "home",
            broker_url=self.node.url,
            port=free_port(),
            web_processes=1,
            chunk_rows=100,
        )
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the web tier and the recorder, once."""
        if self._processes:
            return
        Registry(self.settings.registry_path).seed()
        for verb in ("recorder", "web"):
            with (self.folder / f"{verb}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "production_server", verb],
                        env=self.settings.environment(),
                        cwd=ROOT,
                        stdout=log,
                        stderr=log,
                    )
                )

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)
        self.node.stop()

    @property
    def questions(self) -> ServiceProcess:
        return ServiceProcess(self.settings.environment(), sys.executable, account=None)

    def add(self, name: str) -> Ticket:
        ca = self.node.authority.read_text()
        (ticket,) = workers.add(self.node.rabbitmq, [name], "127.0.0.1", ca, processes=2)
        return ticket

    def listed(self) -> list[dict[str, Any]]:
        return workers.listed(self.node.rabbitmq, self.questions)

    def drain(self, name: str) -> None:
        workers.drain(self.node.rabbitmq, self.questions, name, timeout=PATIENCE)

    def remove(self, name: str) -> None:
        workers.remove(self.node.rabbitmq, self.questions, name)


def settings_of(node: TlsNode, ticket: Ticket, **changes: object) -> Settings:
    """The settings of a worker VM with this ticket; the port is the node's own."""
    login = f"{ticket.account}:{ticket.password}"
    given = {
        "broker_url": f"amqps://{login}@{ticket.host}:{node.tls_port}/{ticket.vhost}",
        "broker_ca": node.authority,
        "broker_name": ticket.server_name,
        "worker_vm": ticket.name,
    }
    return load_settings(**(given | changes))


class WorkerVM:
    """One worker process, as on a VM of its own. It tells a socket what it tells systemd."""

    def __init__(self, front: Front, ticket: Ticket, *, home: Path | None = None) -> None:
        self.node = worker_node(1, ticket.name)
        folder = front.folder / ticket.name
        folder.mkdir(exist_ok=True)
        self._log = folder / "worker.log"
        self._status = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        (folder / "notify").unlink(missing_ok=True)  # the VM was off
        self._status.bind(str(folder / "notify"))
        # Most share a home, because each would compile the model in its own.
        settings = settings_of(front.node, ticket, home=home or front.folder / "vms")
        self.registry = Registry(settings.registry_path)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.counting_worker"],
                env={**settings.environment(), "NOTIFY_SOCKET": str(folder / "notify")},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def wait_until_it_takes_tasks(self) -> None:
        self._wait_for(TAKING_TASKS)

    def wait_until_it_is_disconnected(self) -> None:
        self._wait_for(DISCONNECTED)

    def _wait_for(self, status: str) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self._status.settimeout(max(0.1, until - time.monotonic()))
            if self._status.recv(1000).decode() == f"STATUS={status}":
                return
        raise AssertionError(self._log.read_text()[-3000:])

    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._status.close()
