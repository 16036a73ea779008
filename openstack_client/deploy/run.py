"""A deploy from beginning to end: facts, plan, making, waiting; and what an end leaves behind.

Until Nova has made the server ACTIVE, a failure or Ctrl-C removes what this run made, so
that nothing is left. From then on the deployment stays: the same command finishes it, and
`delete` takes it away.
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
from openstack_client.deploy.create import Maker
from openstack_client.deploy.delete import Remover, find
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.lease import Lease
from openstack_client.errors import LauncherError
from openstack_client.plan import keypair
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, Plan
from openstack_client.service import base_url
from openstack_client.settings import Settings
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import Way
from openstack_client.watch.wait import ReadyWatch, until_active


@dataclass(frozen=True)
class Options:
    """What a person says about this one run."""

    keep: bool = False
    wait: bool = True
    recreate: bool = False
    take_over: bool = False


@dataclass
class Result:
    """What a deploy ended with."""

    name: str
    address: str
    server: str
    ready: bool
    ssh: str
    prediction: str = ""
    model: str = ""
    version: str = ""
    seconds: float = 0.0
    stages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{base_url(self.address)}/predictions"

    def as_json(self) -> dict[str, Any]:
        return {
            "event": "result",
            "name": self.name,
            "address": self.address,
            "url": self.url,
            "server": self.server,
            "ready": self.ready,
            "prediction": self.prediction,
            "model": self.model,
            "version": self.version,
            "ssh": self.ssh,
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
        self.maker = Maker(self.cloud, self.settings, self.plan, self.run_id, self.interrupts)
        self.lease = Lease(self.cloud, self.plan.name, self.run_id, self.sleep)
        self.stays = self.plan.server_action in {Action.FOUND, Action.START}

    def run(self) -> Result:
        """Make and wait; on any end but success, tidy up as the module's first lines say."""
        try:
            result = self._deploy()
        except (LauncherError, KeyboardInterrupt):
            self._tidy()
            raise
        self._release()
        return result

    def _deploy(self) -> Result:
        server, address = self._active_server()
        self.stays = True
        self.progress.stage("addressed", "done", address)
        way = self._way(address)
        result = Result(self.plan.name, address, server.id, False, way.words)
        assert self.plan.parcel is not None, "a plan without problems has user data"
        watch = ReadyWatch(
            cloud=self.cloud,
            server=server,
            way=way,
            payload=self.plan.parcel.payload,
            progress=self.progress,
            meanwhile=self.lease.renew,
            sleep=self.sleep,
        )
        if self.options.wait:
            probe = watch.until_it_predicts(self.settings.timeout_ready)
            result.ready, result.prediction = True, probe.words
            result.model, result.version = probe.model, probe.version
        else:
            watch.until_it_has_its_code(self.settings.timeout_ready)
        result.seconds, result.stages = self.progress.elapsed, self.progress.timeline()
        return result

    def _active_server(self) -> tuple[Server, str]:
        """Make what the plan says, up to a server that Nova calls ACTIVE; and its address."""
        port = self.maker.port()
        self.lease.wish(port.id)
        # A group of one's own can be made meanwhile; one that is there may be a rival's.
        fresh = None if self.plan.group else self.maker.group()
        self.lease.hold(self.options.take_over)
        self.maker.protect(port, fresh or self.maker.group())
        self.maker.keypair()
        server = self._server(port)
        self.progress.stage("requested", "done", server.id)
        floating = self.maker.address(port)
        address = floating.address if floating else port.address
        server = until_active(
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
            self._remover().remove(Inventory(plan.name, servers=(plan.server,)))
            keypair.known_hosts(self.folder, plan.name).unlink(missing_ok=True)
        elif plan.server:
            if plan.server_action is Action.START:
                self.maker.start(plan.server)
            return plan.server
        return self.maker.server(port)

    def _way(self, address: str) -> Way:
        private = self.plan.key.private if self.plan.key else None
        return Way(
            address, self.plan.ssh_user, private, keypair.known_hosts(self.folder, self.plan.name)
        )

    def _remover(self) -> Remover:
        return Remover(self.cloud, self.progress.note, self.sleep)

    def _release(self) -> None:
        with self.interrupts.shield():
            self.lease.release()

    def _tidy(self) -> None:
        """Leave either a deployment that can be resumed, or nothing of this run."""
        name = self.plan.name
        if self.stays or self.options.keep:
            why = "" if self.stays else " (--keep)"
            self.progress.note(
                f"What was made stays{why}: the same command goes on with it, "
                f"`delete {name}` takes it away."
            )
            self._release()
            return
        self.progress.note("Taking away what this run made ...")
        try:
            self._release()
            self._remover().remove(self._made())
        except LauncherError as error:
            self.progress.note(f"Something is left: {error.what} Run `delete {name}`.")
            return
        except KeyboardInterrupt:
            self.progress.note(f"Stopped before all of it was gone: run `delete {name}`.")
            raise
        if self.maker.made_keypair and self.plan.key and self.plan.key.generate:
            private = keypair.kept_key(self.folder, name)
            for path in (private, private.with_name(private.name + ".pub")):
                path.unlink(missing_ok=True)
        self.progress.note("Nothing of this run is left.")

    def _made(self) -> Inventory:
        """What this run made; keypairs do not say which run theirs was, but this one knows."""
        found = find(self.cloud, self.plan.name)
        pairs = found.keypairs if self.maker.made_keypair else ()
        return replace(found.made_by(self.run_id), keypairs=pairs)
