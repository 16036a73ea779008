"""stackserve-workers: the worker VMs of this server.

The standard library is enough to import this module. Root runs it, and must not run code that the
service's account could have compiled; see docs/workers.md.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from production_server.errors import ServiceError, StackserveError
from production_server.remote import workers
from production_server.remote.access import MOST_PROCESSES
from production_server.remote.rabbitmqctl import RabbitMQ

if TYPE_CHECKING:
    from production_server.messaging.workers import WorkerState

APP = Path("/opt/stackserve/app")
PYTHON = "/opt/stackserve/venv/bin/python"
SERVICE = Path("/etc/stackserve/server.env")
AUTHORITY = Path("/etc/rabbitmq/tls/authority.pem")
ACCOUNT = "stackserve"
INSTALLED_WITH = Path("/opt/stackserve/contextualize/settings.env")
# The most that a worker VM chooses by itself.
PROCESSES = 4
DRAIN_SECONDS = 120.0
QUESTIONS = "production_server.remote.questions"
LOAD = "production_server.load"
# Seconds. Importing the libraries alone takes ten on an emulated processor.
LOAD_TIMEOUT = 50.0
# Nothing is sent there; the route to it shows this machine's own address.
ELSEWHERE = ("192.0.2.1", 9)


@dataclass(frozen=True)
class ServiceProcess:
    """Runs a module with the service's settings, under its account."""

    settings: dict[str, str]
    python: str = PYTHON
    account: str | None = ACCOUNT

    def describe(self, nodes: Sequence[str]) -> list[WorkerState]:
        states: list[WorkerState] = json.loads(self._run("describe", *nodes))
        return states

    def drain(self, nodes: Sequence[str], timeout: float) -> dict[str, bool]:
        confirmed: dict[str, bool] = json.loads(self._run("drain", str(timeout), *nodes))
        return confirmed

    def delete_queues(self, queues: Sequence[str]) -> None:
        self._run("delete-queues", *queues)

    def load(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(
            self._run("figures", module=LOAD, timeout=LOAD_TIMEOUT)
        )
        return figures

    def activities(self) -> dict[str, dict[str, Any]]:
        """What each worker VM does; nothing if that cannot be known."""
        try:
            found: dict[str, dict[str, Any]] = json.loads(
                self._run("workers", module=LOAD, timeout=LOAD_TIMEOUT)
            )
        except ServiceError:
            return {}
        return found

    def _run(self, *arguments: str, module: str = QUESTIONS, timeout: float | None = None) -> str:
        try:
            done = self._start([self.python, "-m", module, *arguments], timeout)
        except subprocess.TimeoutExpired:
            raise ServiceError(
                f"the workers could not be asked within {timeout:g} s",
                "Try again when this machine is less busy.",
            ) from None
        if done.returncode != 0:
            raise ServiceError(
                f"cannot reach the workers: {done.stderr.strip()[-500:]}",
                "Check that RabbitMQ runs: systemctl status rabbitmq-server",
            )
        return done.stdout

    def _start(self, command: list[str], timeout: float | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.settings,
            cwd=APP if self.account else None,
            user=self.account,
            group=self.account,
            extra_groups=[] if self.account else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def read_settings(path: Path) -> dict[str, str]:
    lines = path.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")


def usual_processes(installed_with: Path = INSTALLED_WITH) -> int:
    """As many as a worker VM of this deployment starts at most: it has the same settings."""
    given = read_settings(installed_with).get("WORKERS", "") if installed_with.exists() else ""
    return max(PROCESSES, int(given)) if given.isdecimal() else PROCESSES


def own_address() -> str:
    """This machine's address on the network of its default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def authority(path: Path = AUTHORITY) -> str:
    if not path.exists():
        raise ServiceError(
            f"this server has no certificate for worker VMs: {path} is missing",
            "It was installed by an older release. Deploy it again with --recreate.",
        )
    return path.read_text("ascii")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stackserve-workers", description=__doc__.split("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="give worker VMs accounts, and print their tickets")
    add.add_argument("--host", help="this server's address for the worker")
    add.add_argument(
        "--processes",
        type=int,
        choices=range(1, MOST_PROCESSES + 1),
        metavar="N",
        help=f"most worker processes that it may run ({PROCESSES}, or --workers if that is more)",
    )
    remove = verbs.add_parser("remove", help="delete its account, and close its connections")
    verbs.add_parser("list", help="list the worker VMs, and what each does")
    verbs.add_parser("load", help="print how much there is to do, and how busy the workers are")
    drain = verbs.add_parser("drain", help="let it take no more tasks, and wait for its last")
    drain.add_argument("--timeout", type=float, default=DRAIN_SECONDS, help="seconds to wait (120)")
    name = "the worker's name: lowercase letters, digits and -"
    add.add_argument("names", nargs="+", metavar="name", help=name)
    for one in (remove, drain):
        one.add_argument("name", help=name)
    return parser


def run(options: argparse.Namespace) -> None:
    broker = RabbitMQ()
    if options.verb == "add":
        host = options.host or own_address()
        processes = options.processes or usual_processes()
        for ticket in workers.add(broker, options.names, host, authority(), processes):
            print(json.dumps(ticket._asdict()))
        return
    service = ServiceProcess(read_settings(SERVICE))
    if options.verb == "list":
        print(json.dumps(workers.listed(broker, service)))
    elif options.verb == "load":
        print(json.dumps(service.load()))
    elif options.verb == "remove":
        workers.remove(broker, service, options.name)
    else:
        workers.drain(broker, service, options.name, options.timeout)


def main() -> None:
    """Run the command, and report errors in one line each."""
    try:
        run(parser().parse_args())
    except StackserveError as error:
        sys.exit("\n  ".join(filter(None, (f"error: {error}", error.remedy))))
