"""Reach a server's HTTP port: directly, or by a local port that ssh forwards by a jump host."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from openstack_client.errors import ServerError
from openstack_client.roles import HTTPS_PORT
from openstack_client.service import HTTP_PORT, base_url
from openstack_client.watch.probe import Service

LOCAL = "127.0.0.1"
OPEN_SECONDS = 30.0
PAUSE = 0.05
OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ExitOnForwardFailure=yes"),
    *("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"),
)


class Way:
    """The address and port at which a server's HTTP port can be reached from here."""

    def __init__(self, address: str, port: int = HTTP_PORT) -> None:
        self.address = address
        self.port = port
        self.tls = port == HTTPS_PORT
        self.name = base_url(address, port)

    def service(self) -> Service:
        """The service at the end of the way."""
        return Service(self.address, self.port, self.name, tls=self.tls)

    def keep(self) -> None:
        """Repair the way if it broke."""


class Tunnel(Way):
    """A local port that ssh forwards through a jump host."""

    def __init__(self, via: str, address: str, port: int, errors: IO[bytes]) -> None:
        super().__init__(LOCAL, _free_port())
        self.tls = port == HTTPS_PORT
        self.name = f"{base_url(address, port)} (through {via})"
        self.via = via
        self.command = forward_command(via, self.port, address, port)
        self.errors = errors
        self.process = self._start()

    def wait(self) -> None:
        """Wait until ssh forwards. Raises ServerError if the jump host cannot be used."""
        until = time.monotonic() + OPEN_SECONDS
        while not _accepts(self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                raise ServerError(
                    f"Cannot connect through the jump host {self.via}: {self._reason()}.",
                    "ssh must connect to it without asking: it must know its host key, and the key "
                    f"must be in your agent or have no passphrase. Try `ssh {_words(self.via)}`.",
                )
            time.sleep(PAUSE)

    def keep(self) -> None:
        if self.process.poll() is not None:
            self.process = self._start()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        # Ctrl-C in the terminal reaches the whole process group; the tunnel ends with `close`.
        return subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.errors,
            start_new_session=True,
        )

    def _reason(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip().rstrip(".") if lines else f"no answer in {OPEN_SECONDS:.0f} s"


@contextmanager
def reach(address: str, via: str | None, port: int = HTTP_PORT) -> Iterator[Way]:
    """The way to a server's HTTP port while the block runs."""
    if via is None:
        yield Way(address, port)
        return
    with tempfile.TemporaryFile() as errors:
        tunnel = Tunnel(via, address, port, errors)
        try:
            tunnel.wait()
            yield tunnel
        finally:
            tunnel.close()


def check_jump_host(via: str | None) -> None:
    """Raise ServerError if the jump host cannot be used."""
    with reach(LOCAL, via):
        pass


def forward_command(via: str, local: int, address: str, port: int = HTTP_PORT) -> list[str]:
    """The ssh command that forwards a local port to a server behind a jump host."""
    host = f"[{address}]" if ":" in address else address
    return ["ssh", "-N", *OPTIONS, "-L", f"{LOCAL}:{local}:{host}:{port}", f"ssh://{via}"]


def _words(via: str) -> str:
    """The jump host as a person types it after `ssh`."""
    return f"ssh://{via}" if ":" in via else via


def _free_port() -> int:
    with socket.create_server((LOCAL, 0)) as server:
        return int(server.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((LOCAL, port), timeout=1):
            return True
    except OSError:
        return False
