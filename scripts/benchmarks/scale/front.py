"""The front end: RabbitMQ with TLS, the web tier and the recorder. It has no worker."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
from environment import say

from benchmarks import load_generator
from benchmarks.processes import ProcessGroup
from benchmarks.reference import Reference
from benchmarks.scale.broker import TlsNode, make_certificates, worker_settings
from benchmarks.scale.network import Host, front_address
from benchmarks.systems import ROOT, ours
from production_server.access.policy import Scope
from production_server.access.tokens import Tokens
from production_server.remote import workers
from production_server.remote.access import PORT

WEB_PORT = 5100
START_SECONDS = 300.0
PYTHON = [sys.executable, "-m", "production_server"]

Processes = Callable[[], list[psutil.Process]]


class Front:
    """A server that only worker hosts work for.

    Its models are in `home`. The hosts share a copy, compiled code included, and follow it as
    worker VMs do.
    """

    def __init__(self, folder: Path, home: Path, web_processes: int, chunk_rows: int) -> None:
        self._folder = folder
        self._home = home
        self._hosts_home = folder / "hosts"
        shutil.copytree(home, self._hosts_home)
        name = f"bench-{secrets.token_hex(4)}"
        self._token = Tokens(home / "access").create(name, frozenset({Scope.OPERATE}), None)
        self.web_processes = web_processes
        address = str(front_address().ip)
        self.node = TlsNode(folder / "rabbitmq", make_certificates(folder / "tls"), address, PORT)
        self._groups: dict[str, ProcessGroup] = {}
        self._hosts: dict[str, ProcessGroup] = {}
        self.node.start()
        self.restart(chunk_rows)

    def restart(self, chunk_rows: int) -> None:
        """Start the web tier and the recorder, with this many rows in a chunk."""
        for group in self._groups.values():
            group.stop()
        settings = {
            "STACKSERVE_HOME": str(self._home),
            "STACKSERVE_BROKER_URL": self.node.url,
            "STACKSERVE_PORT": str(WEB_PORT),
            "STACKSERVE_WEB_PROCESSES": str(self.web_processes),
            "STACKSERVE_CHUNK_ROWS": str(chunk_rows),
        }
        for verb in ("recorder", "web"):
            self._groups[verb] = self._start(verb, [*PYTHON, verb], settings)

    def _start(self, name: str, command: list[str], settings: dict[str, str]) -> ProcessGroup:
        return ProcessGroup([command], ROOT, settings, self._folder / f"{name}.log")

    def add(self, host: Host) -> None:
        """Give the host an account, as on a server, and start its worker, as fast as it can."""
        ca = self.node.authority
        address = str(front_address().ip)
        rabbitmq, authority = self.node.rabbitmq, ca.read_text()
        (ticket,) = workers.add(rabbitmq, [host.name], address, authority, processes=1)
        settings = {"STACKSERVE_HOME": str(self._hosts_home), **worker_settings(ticket, ca)}
        host.group.limit(None)
        self._hosts[host.name] = self._start(host.name, host.command([*PYTHON, "worker"]), settings)

    def wait_until_answered(self, reference: Reference) -> None:
        """Wait until all hosts take tasks, and predictions are right."""
        self._wait("a prediction", lambda: load_generator.is_ready(ours, WEB_PORT, reference))
        self._wait("all hosts", lambda: self._taking_tasks(reference.version) == len(self._hosts))
        # The web tier changes to another version soon after the hosts have it.
        self._wait("right predictions", lambda: self._right(reference))

    def _right(self, reference: Reference) -> bool:
        return not load_generator.find_errors(ours, WEB_PORT, reference)

    def _taking_tasks(self, version: str) -> int:
        """How many hosts take tasks and have this version."""
        address = f"http://127.0.0.1:{WEB_PORT}/alive"
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(asked) as response:
            found = json.load(response)["workers"]
        return sum(one["taking_tasks"] and version in one["models"] for one in found)

    def _wait(self, what: str, done: Callable[[], bool]) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not done():
            everything = {**self._groups, **self._hosts}
            ended = [name for name, group in everything.items() if group.any_exited()]
            if ended or time.monotonic() > give_up:
                self._show_logs(ended or list(everything))
                raise SystemExit(f"No sign of {what}. Ended: {', '.join(ended) or 'nothing'}.")
            time.sleep(0.1)

    def _show_logs(self, names: list[str]) -> None:
        for name in names:
            log = (self._folder / f"{name}.log").read_text(errors="replace")
            say(f"--- {name}\n{log[-2000:]}")

    def parts(self) -> dict[str, Processes]:
        """What uses the processor: the parts of the front end, and the hosts."""
        return {
            **{name: group.tree for name, group in self._groups.items()},
            "rabbitmq": self._rabbitmq,
            "hosts": lambda: [
                process for group in self._hosts.values() for process in group.tree()
            ],
        }

    def _rabbitmq(self) -> list[psutil.Process]:
        started = [psutil.Process(pid) for pid in self.node.pids]
        return started + [child for one in started for child in one.children(recursive=True)]
