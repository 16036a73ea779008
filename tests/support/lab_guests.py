"""Plain guests of the lab, created with the `openstack` command line as an ordinary user."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.support.cloud import Ended, LabCloud, run

USER_DATA = """#cloud-config
write_files:
  - path: /etc/from-user-data
    content: written
"""


@dataclass
class Guests:
    """A server with a floating IP and, if wanted, another one without."""

    cloud: LabCloud
    folder: Path
    want_second: bool
    name: str = f"guest-{os.getpid()}"
    address: str = ""
    second: str = ""
    active_after: float = 0
    _creation: Future[None] | None = None

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def console(self) -> str:
        return self.cloud.openstack("console", "log", "show", self.name).output

    def start(self) -> None:
        """Create them in the background: each command takes seconds."""
        pool = ThreadPoolExecutor(1)
        self._creation = pool.submit(self._create)
        pool.shutdown(wait=False)

    def wait(self) -> None:
        """Until they are ACTIVE, long before they have booted."""
        assert self._creation is not None
        self._creation.result()

    def _create(self) -> None:
        pair = self.cloud.openstack("keypair", "create", self.name)
        self.key.touch(mode=0o600)
        self.key.write_text(pair.output)
        self._create_group()
        floating = self.cloud.rows("floating", "ip", "create", "public")
        self.address = floating["floating_ip_address"]
        data = self.folder / "user-data"
        data.write_text(USER_DATA)
        began = time.monotonic()
        self._create_server(self.name, "--user-data", str(data), "--config-drive", "true")
        self.active_after = time.monotonic() - began
        if self.want_second:
            second = f"{self.name}-second"
            self._create_server(second)
            shown = self.cloud.rows("server", "show", second)
            self.second = str(shown["addresses"]["private"][0])
        added = self.cloud.openstack("server", "add", "floating", "ip", self.name, self.address)
        assert added.code == 0, added.errors

    def _create_group(self) -> None:
        group = ("security", "group")
        made = self.cloud.openstack(*group, "create", self.name)
        assert made.code == 0, made.errors
        for rule in (("--protocol", "tcp", "--dst-port", "22"), ("--protocol", "icmp")):
            made = self.cloud.openstack(*group, "rule", "create", *rule, self.name)
            assert made.code == 0, made.errors

    def _create_server(self, name: str, *options: str) -> None:
        common = ("--key-name", self.name, "--security-group", self.name, "--wait")
        made = self.cloud.create_server(name, *common, *options)
        assert made.code == 0, made.errors

    def remove(self) -> None:
        """Once; what could not be created is not missed."""
        if self._creation is None:
            return
        self._creation.exception()  # waits
        self._creation = None
        delete = self.cloud.openstack
        second = [f"{self.name}-second"] if self.want_second else []
        delete("server", "delete", "--wait", self.name, *second)
        if self.address:
            delete("floating", "ip", "delete", self.address)
        delete("security", "group", "delete", self.name)
        delete("keypair", "delete", self.name)

    def ssh(self, command: str, timeout: float = 120) -> Ended:
        options = (
            "BatchMode=yes",
            "LogLevel=ERROR",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "ConnectTimeout=10",
        )
        flags = [word for option in options for word in ("-o", option)]
        return run(["ssh", "-i", str(self.key), *flags, f"debian@{self.address}", command], timeout)
