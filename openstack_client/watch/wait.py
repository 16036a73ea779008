"""Wait for a server: until Nova has built it, and until it is ready as its role defines it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError, ServerError, TimedOut
from openstack_client.plan.secured import Secured
from openstack_client.roles import PROXY, Ask, TlsKind, Watched, ours
from openstack_client.service import HTTP_PORT
from openstack_client.tls import Given
from openstack_client.watch import boot, console
from openstack_client.watch.authority import Recognition
from openstack_client.watch.boot import BootConsole
from openstack_client.watch.certificate import CertificateDelivery
from openstack_client.watch.delivery import CodeDelivery
from openstack_client.watch.probe import Probe
from openstack_client.watch.progress import Progress
from openstack_client.watch.ready import ask
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.trust import Untrusted
from openstack_client.watch.tunnel import Way

POLL = 1.0
SERVER_EVERY = 15.0


def wait_until_active(
    cloud: Cloud,
    servers: Sequence[tuple[Server, Progress]],
    *,
    timeout: float,
    meanwhile: Callable[[], None],
    sleep: Callable[[float], None] = time.sleep,
) -> list[Server]:
    """Wait until Nova has built all of them. Raises ServerError with the first fault."""
    until = time.monotonic() + timeout
    active: dict[str, Server] = {}
    while True:
        waiting = [(server, progress) for server, progress in servers if server.id not in active]
        states = _states(cloud, waiting)
        for now, (_, progress) in zip(states, waiting, strict=True):
            doing = _building(now, progress)
            if not doing:
                active[now.id] = now
            elif time.monotonic() > until:
                raise _build_timed_out(now, progress, doing, timeout)
        if len(active) == len(servers):
            return [active[server.id] for server, _ in servers]
        meanwhile()
        sleep(POLL)


def _states(cloud: Cloud, waiting: Sequence[tuple[Server, Progress]]) -> list[Server]:
    """The current states of servers, in one request: Nova asks Neutron for each request."""
    listed: dict[str, Server] = {}
    if len(waiting) > 1:
        names = [server.name for server, _ in waiting]
        start = os.path.commonprefix(names)  # noqa: RUF071 - names, not paths
        try:
            listed = {server.id: server for server in queries.servers(cloud, start)}
        except CloudError as error:
            if not error.is_temporary:
                raise
    return [
        listed.get(server.id) or refresh_server(cloud, server, progress)
        for server, progress in waiting
    ]


def _building(server: Server, progress: Progress) -> str:
    """What Nova is doing to build the server; empty if it is done."""
    if server.status == "ERROR":
        progress.stage("building", "failed", server.fault)
        raise fault(server, _name(server, progress))
    if server.status == "ACTIVE":
        progress.stage("building", "done")
        progress.stage("active", "done")
        return ""
    doing = f"{server.status}, {server.task}" if server.task else server.status
    progress.stage("building", "begin", doing)
    return doing


def _build_timed_out(server: Server, progress: Progress, doing: str, timeout: float) -> TimedOut:
    return TimedOut(
        f"{_name(server, progress)} is still not ACTIVE after {timeout:.0f} s ({doing}).",
        f"Increase --timeout-build SECONDS, or ask the cloud's operators about server {server.id}.",
    )


def _name(server: Server, progress: Progress) -> str:
    return f"Server {server.name!r}" if progress.server else "The server"


def fault(server: Server, name: str = "The server") -> ServerError:
    """The error for a server in ERROR, with advice for Nova's fault."""
    reason = server.fault or "no reason given"
    remedy = f"Run the command again, or ask the cloud's operators about server {server.id}."
    if "no valid host" in reason.lower():
        where = f" in zone {server.zone}" if server.zone else ""
        remedy = (
            f"No hypervisor{where} has room for flavor {server.flavor!r}, or none fits the "
            "image's properties. Try a smaller --flavor, another --availability-zone, or later."
        )
    elif "exceeded" in reason.lower() and "retries" in reason.lower():
        remedy = (
            "Every hypervisor that Nova tried failed. Try another --flavor or --image, or later."
        )
    elif "block device" in reason.lower() or "volume" in reason.lower():
        remedy = "Could not create the volume. Check the volume quota, or remove --volume-size."
    return ServerError(f"{name} is in ERROR. Nova says: {reason.rstrip('.')}.", remedy)


def _get(cloud: Cloud, server: Server) -> Server:
    try:
        return queries.server(cloud, server.id)
    except CloudError as error:
        if error.status == 404:
            raise ServerError(
                f"Server {server.id} was deleted by someone else.",
                "Run the command again to create a new one.",
            ) from error
        raise


def refresh_server(cloud: Cloud, server: Server, progress: Progress) -> Server:
    """The server's current state, or the last known one while Nova is failing."""
    try:
        return _get(cloud, server)
    except CloudError as error:
        if not error.is_temporary:
            raise
        progress.note(f"Still waiting: {error.what}")
        return server


def check_running(cloud: Cloud, server: Server, progress: Progress) -> None:
    """Raise ServerError if a server that is being set up does not run."""
    now = refresh_server(cloud, server, progress)
    name = _name(now, progress)
    if now.status == "ERROR":
        raise fault(now, name)
    if now.status in {"SHUTOFF", "DELETED", "PAUSED", "SUSPENDED"}:
        raise ServerError(
            f"{name} went {now.status} during setup.",
            "Check its console with `logs`, then run the command again.",
        )


@dataclass(kw_only=True)
class ReadyWatch:
    """Delivers the code to a booting server, waits until it is ready, and reports the stages."""

    cloud: Cloud
    server: Server
    target: SshTarget
    way: Way
    payload: bytes
    progress: Progress
    meanwhile: Callable[[], None]
    sleep: Callable[[float], None] = time.sleep
    watched: Watched = field(default_factory=lambda: ours("server").watched)
    in_image: bool = False
    """Whether the code should be on the server's image."""
    authority: Path | None = None
    """Where to save the server's certificate authority, with TLS."""
    given: Given | None = None
    """The certificate to deliver, with --tls CERT,KEY."""

    def __post_init__(self) -> None:
        way, target = self.way, self.target
        self.service = way.service()
        self.console = BootConsole(
            self.cloud, self.server, target.address, self.progress, target.known_hosts
        )
        self.console.stages = self.watched.stages
        self.delivery = CodeDelivery.to(
            target, "the server", self.payload, self.console, in_image=self.in_image
        )
        self.certificate = (
            CertificateDelivery.to(target, self.given, self.console) if self.given else None
        )
        self.recognition = (
            Recognition(self.cloud, self.server, way, self.service, self.authority)
            if self.watched.tls and self.authority
            else None
        )
        asks = self.watched.ask in {Ask.PREDICTION, Ask.PAGE}
        missing = f"{way.name} does not answer"
        self.probe = Probe(False, missing if asks else "the console does not show the last stage")

    def wait_until_ready(self, timeout: float) -> Probe:
        """Wait until it is ready. Raises an error with the cause if it does not get there."""
        predicts = self.watched.ask is Ask.PREDICTION
        self._until(self._is_ready, "No prediction" if predicts else "Not ready", timeout)
        self.console.update()
        *others, last = self.watched.stages
        for stage in others:
            self.progress.stage(stage, "done")
        self.progress.stage(last, "done", self.probe.summary)
        return self.probe

    def wait_until_delivered(self, timeout: float) -> None:
        """Wait until the server has its code and can finish on its own."""
        self._until(self._is_delivered, "Code not delivered", timeout)
        self._raise_failure()
        if self.payload:
            self.progress.stage("code", "done")

    def _is_ready(self) -> bool:
        return self._is_delivered() and self._answers()

    def _is_delivered(self) -> bool:
        if self.certificate and not self.certificate.attempt():
            # Both are sent at the same time.
            self.delivery.attempt()
            return False
        # One that has been running for long needs no code, and its console may have forgotten that.
        forgotten = not self.delivery.done and not self.console.marks
        return (forgotten and self._answers()) or self.delivery.attempt()

    def _answers(self) -> bool:
        self.way.keep()
        if self.recognition and not self.probe.ok:
            self._recognize(self.recognition)
        self.probe = ask(self.watched, self.service, self.console.marks)
        return self.probe.ok

    def _recognize(self, recognition: Recognition) -> None:
        if self.given:
            recognition.pin(self.given.fingerprint)
            return
        try:
            recognition.update(self.console.text)
        except Untrusted as error:
            raise ServerError(
                f"{self.way.name} {error}.",
                "Somebody may intercept the connection. If not, replace the server: "
                "deploy --recreate.",
            ) from error

    @property
    def _has_files(self) -> bool:
        return Secured.from_metadata(self.server.metadata).kind is TlsKind.FILES

    def _until(self, reached: Callable[[], bool], not_reached: str, timeout: float) -> None:
        try:
            self._follow_until(reached, not_reached, timeout)
        finally:
            self.delivery.close()
            if self.certificate:
                self.certificate.close()

    def _follow_until(self, reached: Callable[[], bool], not_reached: str, timeout: float) -> None:
        until = time.monotonic() + timeout
        next_console = next_server = 0.0
        while True:
            now = time.monotonic()
            if now >= next_console:
                self.console.update()
                # The sooner the host key is known, the sooner the code is there.
                soon = self.delivery.needs_host_key
                next_console = time.monotonic() + (0.0 if soon else boot.CONSOLE_EVERY)
            if reached():
                return
            self._raise_failure()
            if now >= next_server:
                check_running(self.cloud, self.server, self.progress)
                next_server = now + SERVER_EVERY
            if now > until:
                raise self._timed_out(not_reached, timeout)
            self.meanwhile()
            self.sleep(POLL)

    def _raise_failure(self) -> None:
        self.console.raise_failure(
            "server",
            f"For details: {self.target.shell_command}   (sudo journalctl -u cloud-final -e)\n"
            "Then deploy again with --recreate, or delete the deployment.",
        )

    def _timed_out(self, not_reached: str, timeout: float) -> TimedOut:
        marks = self.console.marks
        known = self.watched.stages
        stages = (
            console.waiting_for(marks, known) if self.console.works else "no console log available"
        )
        missing = f"; its code: {self.delivery.missing}" if self.delivery.missing else ""
        if self.certificate and self.certificate.missing:
            missing += f"; its certificate: {self.certificate.missing}"
        certificate = self.certificate.remedy if self.certificate else ""
        remedy = (
            self.delivery.remedy
            or certificate
            or (f"Run the command again to keep waiting, or log in: {self.target.shell_command}")
        )
        if console.waits_for(marks, PROXY) and not self.given and self._has_files:
            remedy = f"It waits for its certificate: add --tls CERT,KEY. {remedy}"
        port = self.watched.port or HTTP_PORT
        if console.is_ready(marks, known[-1]):
            remedy = (
                "The server reports that it is ready, so something in between blocks "
                f"port {port}: check --allow-from, firewalls and your VPN. {remedy}"
            )
        return TimedOut(
            f"{not_reached} after {timeout:.0f} s. Missing: {stages}{missing}; and "
            f"{self.probe.summary}.{self.console.last_line_sentence}",
            remedy,
        )
