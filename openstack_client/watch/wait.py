"""Watch a server become useful: built by Nova, contextualized by cloud-init, answering."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError, ServerError, TimedOut
from openstack_client.service import HTTP_PORT
from openstack_client.watch import boot, console
from openstack_client.watch.boot import BootConsole, HandOver
from openstack_client.watch.probe import Probe, Service
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import Way

POLL = 1.0
SERVER_EVERY = 15.0


def until_active(
    cloud: Cloud,
    server: Server,
    *,
    timeout: float,
    progress: Progress,
    meanwhile: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Server:
    """Wait until Nova has built the server; ServerError tells Nova's fault in words."""
    until = time.monotonic() + timeout
    while True:
        now = look_patiently(cloud, server, progress)
        if now.status == "ERROR":
            raise fault(now)
        if now.status == "ACTIVE":
            progress.stage("building", "done")
            progress.stage("active", "done")
            return now
        doing = f"{now.status}, {now.task}" if now.task else now.status
        progress.stage("building", "begin", doing)
        if time.monotonic() > until:
            raise TimedOut(
                f"After {timeout:.0f} s the server is still {doing}; Nova has not made it ACTIVE.",
                "Give it longer with --timeout-build SECONDS, or ask the cloud's operators "
                f"about server {server.id}.",
            )
        meanwhile()
        sleep(POLL)


def fault(server: Server) -> ServerError:
    """Nova's fault, explained."""
    said = server.fault or "Nova tells no reason"
    remedy = f"Give server {server.id} to the cloud's operators, or run the command again."
    if "no valid host" in said.lower():
        where = f" in zone {server.zone}" if server.zone else ""
        remedy = (
            f"No hypervisor{where} has room for flavor {server.flavor!r} now, or none fits the "
            "image's properties: try a smaller --flavor, another --availability-zone, or later."
        )
    elif "exceeded" in said.lower() and "retries" in said.lower():
        remedy = (
            "Every hypervisor that Nova tried refused: try another --flavor or --image, or later."
        )
    elif "block device" in said.lower() or "volume" in said.lower():
        remedy = "The volume could not be made: check the volume quota, or leave --volume-size out."
    return ServerError(f"The server ended in ERROR. Nova says: {said.rstrip('.')}.", remedy)


def _look(cloud: Cloud, server: Server) -> Server:
    try:
        return queries.server(cloud, server.id)
    except CloudError as error:
        if error.status == 404:
            raise ServerError(
                f"The server {server.id} is gone: somebody else deleted it.",
                "Run the command again to make a new one.",
            ) from error
        raise


def look_patiently(cloud: Cloud, server: Server, progress: Progress) -> Server:
    """The server as it is; as it was, while Nova is out of order."""
    try:
        return _look(cloud, server)
    except CloudError as error:
        if not error.may_pass:
            raise
        progress.note(f"Waiting on: {error.what}")
        return server


@dataclass(kw_only=True)
class ReadyWatch:
    """Hands the code to a server that boots, and waits until it predicts; tells all stages."""

    cloud: Cloud
    server: Server
    way: Way
    payload: bytes
    progress: Progress
    meanwhile: Callable[[], None]
    sleep: Callable[[float], None] = time.sleep
    port: int = HTTP_PORT

    def __post_init__(self) -> None:
        address = self.way.address
        self.service = Service(address, self.port)
        self.hand_over = HandOver(address, self.payload, self.progress, self.port)
        self.console = BootConsole(
            self.cloud, self.server, address, self.progress, self.way.known_hosts
        )
        self.probe = Probe(False, f"port {self.port} of {address} does not answer")

    def until_it_predicts(self, timeout: float) -> Probe:
        """The first prediction, or the reason why there is none."""
        self._until(self._predicts, "No prediction", timeout)
        self.console.look()
        for stage in console.STAGES:
            self.progress.stage(stage, "done", self.probe.words if stage == "ready" else "")
        return self.probe

    def until_it_has_its_code(self, timeout: float) -> None:
        """Until the server can finish by itself."""
        self._until(self._has_its_code, "The code was not handed over", timeout)
        self._raise_failure()
        self.progress.stage("code", "done")

    def _predicts(self) -> bool:
        if self._has_its_code():
            self.probe = self.service.probe()
        return self.probe.ok

    def _has_its_code(self) -> bool:
        return self.console.has_done("code") or self.hand_over.attempt()

    def _until(self, reached: Callable[[], bool], not_reached: str, timeout: float) -> None:
        until = time.monotonic() + timeout
        next_console = next_server = 0.0
        while True:
            now = time.monotonic()
            if now >= next_console:
                self.console.look()
                next_console = time.monotonic() + boot.CONSOLE_EVERY
            if reached():
                return
            self._raise_failure()
            if now >= next_server:
                self._check_server()
                next_server = now + SERVER_EVERY
            if now > until:
                raise self._timed_out(not_reached, timeout)
            self.meanwhile()
            self.sleep(POLL)

    def _raise_failure(self) -> None:
        self.console.raise_failure(
            "server",
            f"Look further with: {self.way.words}   (sudo journalctl -u cloud-final -e)\n"
            "Then deploy again with --recreate, or take it away with delete.",
        )

    def _check_server(self) -> None:
        now = look_patiently(self.cloud, self.server, self.progress)
        if now.status == "ERROR":
            raise fault(now)
        if now.status in {"SHUTOFF", "DELETED", "PAUSED", "SUSPENDED"}:
            raise ServerError(
                f"The server went {now.status} while it was set up.",
                "Look at its console with `logs`, then run the command again.",
            )

    def _timed_out(self, not_reached: str, timeout: float) -> TimedOut:
        marks = self.console.marks
        seen = console.waiting_for(marks) if self.console.works else "no console log to read"
        remedy = f"Run the command again to wait on; or look: {self.way.words}"
        if console.is_ready(marks):
            remedy = (
                "The server says that it is ready, so something between here and there keeps "
                f"port {HTTP_PORT} shut: check --allow-from, a firewall or the VPN. {remedy}"
            )
        return TimedOut(
            f"{not_reached} after {timeout:.0f} s. What was missing: {seen}; and "
            f"{self.probe.words}.{self.console.last_words}",
            remedy,
        )
