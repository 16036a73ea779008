"""Run a deploy: create the resources, wait for the server, and clean up on failure.

Until all servers are ACTIVE, a failure or Ctrl-C deletes everything this run created. After that
the deployment stays: run the same command to finish it, or `delete` to delete it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.own_address import addresses_of
from openstack_client.cloud.resources import Port, Server
from openstack_client.cloud.together import both, together
from openstack_client.deploy.accounts import Accounts, Tickets
from openstack_client.deploy.create import Creator
from openstack_client.deploy.delete import Deleter, find
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.joining import Crew, Joining
from openstack_client.deploy.lease import Lease, TakenOver
from openstack_client.deploy.result import Result, certified
from openstack_client.deploy.shrink import remove_surplus
from openstack_client.deploy.time_to_live import settle
from openstack_client.errors import Busy, LauncherError
from openstack_client.plan import inventory, keypair
from openstack_client.plan.inventory import CODE_KEY, Inventory
from openstack_client.plan.model import Action, Plan, ServerPlan
from openstack_client.plan.secured import name_note
from openstack_client.roles import Ask
from openstack_client.service import HTTP_PORT, redirect_url
from openstack_client.settings import Settings
from openstack_client.watch.probe import Service
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget
from openstack_client.watch.tunnel import Way, reach
from openstack_client.watch.wait import ReadyWatch, wait_until_active


@dataclass(frozen=True)
class Options:
    """The options of a single run."""

    keep: bool = False
    wait: bool = True
    recreate: bool = False
    take_over: bool = False
    drain: bool = True
    """Whether a worker VM finishes its tasks before it is removed."""


@dataclass
class Built:
    """A server that Nova is building or has built."""

    plan: ServerPlan
    server: Server
    port: Port


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
        self.stays = self.plan.keeps_servers
        self.built: list[Built] = []
        self.shown = {"": self.progress} | {
            member.part: self.progress.of(member.part) for member in self.plan.workers
        }

    def run(self) -> Result:
        """Create and wait. On failure, clean up as described in the module's docstring."""
        try:
            result = self._deploy()
        except TakenOver:
            raise
        except (LauncherError, KeyboardInterrupt):
            self._clean_up()
            raise
        self._release()
        return result

    def _deploy(self) -> Result:
        server, address = self._active_server()
        self.stays = True
        self.progress.stage("addressed", "done", address)
        front, domain = self.plan.front, self.plan.secured and self.plan.secured.domain
        if domain and (note := name_note(domain, addresses_of(domain), address)):
            self.progress.note(note)
        target = self.ssh_target(address)
        watched = front.role.watched
        result = Result(self.plan.name, address, server.id, False, target.shell_command, watched)
        assert front.parcel is not None, "a plan without problems has user data"
        result.code_on_disk = front.parcel.code_hash
        if self.settings.oidc_client:
            result.redirect = redirect_url(watched, domain or address)
        with reach(address, self.settings.ssh_via, watched.port or HTTP_PORT) as way:
            self._watch(server, target, way, front.parcel.payload, result)
        remove_surplus(self.plan, target, self._deleter(), self.progress, drain=self.options.drain)
        result.workers = [self._described(built) for built in self.built[1:]]
        # It names all servers that there are now.
        result.lifetime = settle(self.cloud, self.settings, server, target)
        result.seconds, result.stages = self.progress.elapsed, self.progress.timeline()
        return result

    def _watch(
        self, server: Server, target: SshTarget, way: Way, payload: bytes, result: Result
    ) -> None:
        """Deliver the code, wait as long as asked to, and complete the result."""
        with self._crew(target) as crew:
            watch = ReadyWatch(
                cloud=self.cloud,
                server=server,
                target=target,
                way=way,
                payload=payload,
                progress=self.progress,
                meanwhile=lambda: self._meanwhile(watch, crew),
                sleep=self.sleep,
                watched=result.watched,
                in_image=self.plan.front.image_has_code,
                authority=keypair.authority(self.folder, self.plan.name),
                given=self.plan.certificate,
            )
            if self.options.wait:
                probe = watch.wait_until_ready(self.settings.timeout_ready)
                result.prediction, result.model, result.version = (
                    probe.summary,
                    probe.model,
                    probe.version,
                )
                crew.wait(self.lease.renew, self.sleep)
                result.ready = True
            else:
                watch.wait_until_delivered(self.settings.timeout_ready)
        if result.ready and self.plan.secured:
            result.tls = certified(self.plan.secured, way, result.address, watch.authority)
        probed = result.ready and result.watched.ask is Ask.PREDICTION
        result.code_deployed = self._deployed_code(server, watch.service if probed else None)

    def _meanwhile(self, watch: ReadyWatch, crew: Crew) -> None:
        """What goes on while the front end is set up."""
        self.lease.renew()
        workers = self.plan.front.role.workers
        if workers and all(map(watch.console.has_done, workers.after)):
            crew.broker_ready.set()

    def _crew(self, front: SshTarget) -> Crew:
        """The worker VMs, which join while the front end is set up."""
        waited_for = self.built[1:] if self.options.wait else []
        new = [built.plan.part for built in waited_for if not built.plan.keeps_server]
        tickets = Tickets(Accounts(front, self.settings.workers), new)
        members = [
            Joining(
                cloud=self.cloud,
                name=built.plan.part,
                server=built.server,
                target=replace(
                    front,
                    address=built.port.address,
                    user=built.plan.ssh_user,
                    known_hosts=keypair.known_hosts(self.folder, self.plan.name, built.plan.part),
                    via=None,
                    through=front,
                ),
                payload=built.plan.parcel.payload if built.plan.parcel else b"",
                watched=built.plan.role.watched,
                tickets=tickets,
                progress=self.shown[built.plan.part],
                is_new=not built.plan.keeps_server,
                in_image=built.plan.image_has_code,
            )
            for built in waited_for
        ]
        return Crew(members, self.settings.timeout_ready)

    def _described(self, built: Built) -> dict[str, Any]:
        """A worker VM in the result."""
        return {
            "name": built.plan.part,
            "server": built.server.id,
            "address": built.port.address,
            "ready": self.options.wait,
            "stages": self.shown[built.plan.part].timeline(),
        }

    def _deployed_code(self, server: Server, service: Service | None) -> str:
        """The hash of the server's code: what it reports, or what it was created with."""
        alive = (service.get_json("/alive") if service else None) or {}
        return str(alive.get("code_hash") or server.metadata.get(CODE_KEY, ""))

    def _active_server(self) -> tuple[Server, str]:
        """Create the planned resources. Return the front end, once all servers are ACTIVE."""
        port = self.creator.port(self.plan.front)
        self.lease.request(port.id)
        # Create new groups while waiting for the lease. Another run may be using existing ones.
        self.creator.groups(new=True)
        self.lease.acquire(self.options.take_over)
        self._check_unchanged()
        self.creator.groups(new=False)
        self.creator.keypair()
        self.creator.server_group()
        self._delete_replaced()
        with self.interrupts.shield():
            floating, self.built = both(
                partial(self.creator.address, port),
                partial(together, partial(self._request, port), self.plan.servers),
            )
        address = floating.address if floating else port.address
        active = wait_until_active(
            self.cloud,
            [(built.server, self.shown[built.plan.part]) for built in self.built],
            timeout=self.settings.timeout_build,
            meanwhile=self.lease.renew,
            sleep=self.sleep,
        )
        for built, server in zip(self.built, active, strict=True):
            built.server = server
        return active[0], address

    def _check_unchanged(self) -> None:
        """Raise Busy if a run that has just ended added or removed servers since the plan."""
        if not self.plan.workers and self.plan.surplus.empty:
            return
        now = inventory.pick(
            self.plan.name,
            self.cloud.project_id,
            servers=queries.servers(self.cloud),
            groups=(),
            ports=queries.ports(self.cloud),
            addresses=(),
            keypairs=(),
        )
        added = now.members - now.created_by(self.run_id).members
        if added != self.plan.seen:
            raise Busy(
                f"Another run has just changed the servers of {self.plan.name!r}.",
                "Run the command again.",
            )

    def _delete_replaced(self) -> None:
        """Delete the servers that will be replaced; their ports and addresses stay."""
        replaced = [member for member in self.plan.servers if member.action is Action.REPLACE]
        servers = tuple(member.server for member in replaced if member.server)
        if not servers:
            return
        for server in servers:
            self.progress.note(f"Replacing server {server.name} ({server.status}).")
        self._deleter().delete(Inventory(self.plan.name, servers=servers))
        for member in replaced:
            hosts = keypair.known_hosts(self.folder, self.plan.name, member.part)
            hosts.unlink(missing_ok=True)

    def _request(self, front_port: Port, member: ServerPlan) -> Built:
        """Request a server from Nova, or start the one that is there."""
        port = front_port if member.is_front else self.creator.port(member)
        self.creator.apply_group(member, port)
        if member.keeps_server and member.server:
            if member.action is Action.START:
                self.creator.start(member.server)
            server = member.server
        else:
            server = self.creator.server(member, port)
        self.shown[member.part].stage("requested", "done", server.id)
        return Built(member, server, port)

    def ssh_target(self, address: str) -> SshTarget:
        """How to connect to the front end, with the host key that its console shows."""
        private = self.plan.key.private if self.plan.key else None
        return SshTarget(
            address,
            self.plan.front.ssh_user,
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
        try:
            self.lease.check()
            self.progress.note("Deleting what this run created ...")
            self._release()
            self._deleter().delete(self._created())
        except TakenOver as stopped:
            self.progress.note(f"{stopped.what} {stopped.remedy}")
            return
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
        """What this run created. It keeps track of what carries no mark."""
        found = find(self.cloud, self.plan.name)
        pairs = found.keypairs if self.creator.created_keypair else ()
        spread = found.server_groups if self.creator.created_server_group else ()
        return replace(found.created_by(self.run_id), keypairs=pairs, server_groups=spread)
