"""Run receive.py for tests that deliver a payload to it."""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import sys
import tempfile
import time

from openstack_client.userdata import Delivery, deliver
from tests.support.guest import free_ports
from tests.unit.cloud_init.steps import FILES

PAYLOAD = bytes(range(256)) * 400


class Receiver:
    """A receive.py process, run as on a server."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        settings = {
            "PAYLOAD_SHA256": hashlib.sha256(PAYLOAD).hexdigest(),
            "PAYLOAD_SIZE": str(len(PAYLOAD)),
            "PORT": str(self.port),
        }
        self.out = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the fixture
        self.process = subprocess.Popen(
            [sys.executable, str(FILES / "receive.py")],
            env=settings,
            stdout=self.out,
            stderr=subprocess.DEVNULL,
        )
        self.ask("GET", "/")  # until it listens

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, path, body=body)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except ConnectionError:
                time.sleep(0.02)
            finally:
                connection.close()
        raise AssertionError("receive.py does not listen")

    def deliver(self, payload: bytes) -> Delivery:
        return deliver("127.0.0.1", self.port, payload)

    def written(self) -> bytes:
        assert self.process.wait(10) == 0
        self.out.seek(0)
        return self.out.read()

    def waits(self) -> bool:
        return self.process.poll() is None
