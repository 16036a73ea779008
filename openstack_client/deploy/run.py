"""Run a deploy: create the resources, wait for the server, and clean up on failure.

Until the server is ACTIVE, a failure or Ctrl-C deletes everything this run created. After that
the deployment stays: run the same command to finish it, or `delete` to delete it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Port, Server
from openstack_client.deploy.create import Creator
from openstack_client.deploy.delete import Deleter, find
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.lease import Lease
from openstack_client.deploy.time_to_live import TimeToLive, settle
from openstack_client.errors import LauncherError
from openstack_client.plan import keypair
from openstack_client.plan.inventory import CODE_KEY, Inventory
from openstack_client.plan.model import Action, Plan
from openstack_client.roles import Ask, Watched
from openstack_client.service import HTTP_PORT, page_url
from openstack_client.settings import Settings
from openstack_client.watch.probe import Service
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.status import drift
from openstack_client.watch.tunnel import Way, reach
from openstack_client.watch.wait import ReadyWatch, wait_until_active


@dataclass(frozen=True)
class Options:
    """The options of a single run."""

    keep: bool = False
    wait: bool = True
    recreate: bool = False
    take_over: bool = False


@dataclass
class Result:
    """The result of a deploy."""

    name: str
    address: str
    server: str
    ready: bool
    ssh: str
    watched: Watched
    prediction: str = ""
    model: str = ""
    version: str = ""
    seconds: float = 0.0
    stages: list[dict[str, Any]] = field(default_factory=list)
    code_deployed: str = ""
    code_on_disk: str = ""
    lifetime: TimeToLive = field(default_factory=TimeToLive)

    @property
    def drift(self) -> str:
        return drift(self.code_on_disk, self.code_deployed)

    @property
    def url(self) -> str:
        return page_url(self.watched, self.address)

    @property
    def has(self) -> str:
        """What a server has that is not ready yet, in words."""
        return "has its code" if "code" in self.watched.stages else "is ACTIVE"

    def as_json(self) -> dict[str, Any]:
        return {
            "event": "result",
            "name": self.name,
            "role": self.watched.role,
            "address": self.address,
            "url": self.url,
            "server": self.server,
            "ready": self.ready,
            "prediction": self.prediction,
            "model": self.model,
            "version": self.version,
            "code_deployed": self.code_deployed,
            "code_on_disk": self.code_on_disk,
            "drift": self.drift,
            "ssh": self.ssh,
            "expires": self.lifetime.expires or None,
            "removes_itself": self.lifetime.removes_itself,
            "removal_problem": self.lifetime.problem or None,
            "seconds": round(self.seconds, 1),
            "stages": self.stages,
        }


@dataclass(kw_only=True)
class Launch:
    """One run of deploy."""

    cloud: Cloud
    settings: Settings
    plan: Plan
    folder: Path
    progress: Progress
    interrupts: Interrupts
    options: Options
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.run_id = secrets.token_hex(4)
        self.creator = Creator(self.cloud, self.settings, self.plan, self.run_id, self.interrupts)
        self.lease = Lease(self.cloud, self.plan.name, self.run_id, self.sleep)
        self.stays = self.plan.keeps_server

    def run(self) -> Result:
        """Create and wait. On failure, clean up as described in the module's docstring."""
        try:
            result = self._deploy()
        except (LauncherError, KeyboardInterrupt):
            self._clean_up()
            raise
        self._release()
        return result

    def _deploy(self) -> Result:
        server, address = self._active_server()
        self.stays = True
        self.progress.stage("addressed", "done", address)
        target = self._ssh_target(address)
        watched = self.plan.role.watched
        result = Result(self.plan.name, address, server.id, False, target.shell_command, watched)
        assert self.plan.parcel is not None, "a plan without problems has user data"
        result.code_on_disk = self.plan.parcel.code_hash
        with reach(address, self.settings.ssh_via, watched.port or HTTP_PORT) as way:
            self._watch(server, target, way, self.plan.parcel.payload, result)
        result.lifetime = settle(self.cloud, self.settings, server, target)
        result.seconds, result.stages = self.progress.elapsed, self.progress.timeline()
        return result

    def _watch(
        self, server: Server, target: SshTarget, way: Way, payload: bytes, result: Result
    ) -> None:
        """Deliver the code, wait as long as asked to, and complete the result."""
        watch = ReadyWatch(
            cloud=self.cloud,
            server=server,
            target=target,
            way=way,
            payload=payload,
            progress=self.progress,
            meanwhile=self.lease.renew,
            sleep=self.sleep,
            watched=result.watched,
        )
        if self.options.wait:
            probe = watch.wait_until_ready(self.settings.timeout_ready)
            result.ready, result.prediction = True, probe.summary
            result.model, result.version = probe.model, probe.version
        else:
            watch.wait_until_delivered(self.settings.timeout_ready)
        probed = result.ready and result.watched.ask is Ask.PREDICTION
        result.code_deployed = self._deployed_code(server, watch.service if probed else None)

    def _deployed_code(self, server: Server, service: Service | None) -> str:
        """The hash of the server's code: what it reports, or what it was created with."""
        alive = (service.get_json("/alive") if service else None) or {}
        return str(alive.get("code_hash") or server.metadata.get(CODE_KEY, ""))

    def _active_server(self) -> tuple[Server, str]:
        """Create the planned resources; return the ACTIVE server and its address."""
        port = self.creator.port()
        self.lease.request(port.id)
        # Create a new group while waiting for the lease. Another run may be using an existing one.
        fresh = None if self.plan.group else self.creator.group()
        self.lease.acquire(self.options.take_over)
        self.creator.apply_group(port, fresh or self.creator.group())
        self.creator.keypair()
        server = self._server(port)
        self.progress.stage("requested", "done", server.id)
        floating = self.creator.address(port)
        address = floating.address if floating else port.address
        server = wait_until_active(
            self.cloud,
            server,
            timeout=self.settings.timeout_build,
            progress=self.progress,
            meanwhile=self.lease.renew,
            sleep=self.sleep,
        )
        return server, address

    def _server(self, port: Port) -> Server:
        plan = self.plan
        if plan.server and plan.server_action is Action.REPLACE:
            self.progress.note(f"Replacing server {plan.server.name} ({plan.server.status}).")
            self._deleter().delete(Inventory(plan.name, servers=(plan.server,)))
            keypair.known_hosts(self.folder, plan.name).unlink(missing_ok=True)
        elif plan.server:
            if plan.server_action is Action.START:
                self.creator.start(plan.server)
            return plan.server
        return self.creator.server(port)

    def _ssh_target(self, address: str) -> SshTarget:
        private = self.plan.key.private if self.plan.key else None
        return SshTarget(
            address,
            self.plan.ssh_user,
            private,
            keypair.known_hosts(self.folder, self.plan.name),
            self.settings.ssh_via,
        )

    def _deleter(self) -> Deleter:
        return Deleter(self.cloud, self.progress.note, self.sleep)

    def _release(self) -> None:
        with self.interrupts.shield():
            self.lease.release()

    def _clean_up(self) -> None:
        """Leave either a deployment that can be resumed, or nothing from this run."""
        name = self.plan.name
        if self.stays or self.options.keep:
            why = "" if self.stays else " (--keep)"
            self.progress.note(
                f"Keeping the created resources{why}. Run the same command to continue, or "
                f"`delete {name}` to delete them."
            )
            self._release()
            return
        self.progress.note("Deleting what this run created ...")
        try:
            self._release()
            self._deleter().delete(self._created())
        except LauncherError as error:
            self.progress.note(f"Cleanup failed: {error.what} Run `delete {name}`.")
            return
        except KeyboardInterrupt:
            self.progress.note(f"Cleanup was interrupted. Run `delete {name}` to finish it.")
            raise
        if self.creator.created_keypair and self.plan.key and self.plan.key.generate:
            private = keypair.kept_key(self.folder, name)
            for path in (private, private.with_name(private.name + ".pub")):
                path.unlink(missing_ok=True)
        self.progress.note("Everything this run created was deleted.")

    def _created(self) -> Inventory:
        """What this run created. Keypairs carry no mark, so the run keeps track of its own."""
        found = find(self.cloud, self.plan.name)
        pairs = found.keypairs if self.creator.created_keypair else ()
        return replace(found.created_by(self.run_id), keypairs=pairs)
