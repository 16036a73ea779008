"""A deployment with worker VMs, as `autoscale` sees and changes it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from openstack_client.cli.session import Session, no_deployment
from openstack_client.cli.silent import silent_workers
from openstack_client.cli.ssh import require_host_key
from openstack_client.cloud import queries
from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Server
from openstack_client.deploy.accounts import Accounts
from openstack_client.deploy.autoscale import Seen
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.lease import held_by_another
from openstack_client.deploy.run import Launch, Options
from openstack_client.errors import Busy, Problem, ServerError, SettingsError
from openstack_client.plan import inventory
from openstack_client.plan.inventory import Inventory, watched
from openstack_client.plan.load import Load
from openstack_client.plan.make import refuse
from openstack_client.plan.model import Plan
from openstack_client.roles import Ask
from openstack_client.settings import Settings
from openstack_client.watch.progress import Progress, QuietDisplay
from openstack_client.watch.ssh import SshTarget

OPTIONS = Options()


@dataclass
class OpenStackTeam:
    """Reads the deployment from the cloud and its load by ssh, and scales it as `scale` does."""

    session: Session
    identity: Identity
    interrupts: Interrupts
    targets: dict[str, SshTarget] = field(default_factory=dict)
    """How to connect to the front end, by its id."""

    def look(self) -> Seen:
        mine = self._inventory()
        if not mine.members:
            raise no_deployment(self.session.cloud, self.session.name)
        return Seen(mine, bool(held_by_another(mine.name, mine.ports, time.time())))

    def load(self, seen: Seen) -> Load:
        return Accounts(self._front(seen.mine)).load()

    def why_not(self, count: int) -> list[Problem]:
        """Why there cannot be so many worker VMs now."""
        self._front_server(self.look().mine)
        return self._plan(self._settings(count)).problems

    def scale(self, seen: Seen, count: int) -> None:
        session, settings = self.session, self._settings(count)
        plan = self._plan(settings, silent_workers(session, seen.mine))
        refuse(plan.problems)
        if plan.seen != seen.mine.members:
            raise Busy(f"Another run has just changed the servers of {plan.name!r}.")
        Launch(
            cloud=session.cloud,
            settings=settings,
            plan=plan,
            folder=session.folder,
            progress=Progress(QuietDisplay()),
            interrupts=self.interrupts,
            options=OPTIONS,
        ).run()

    def _settings(self, count: int) -> Settings:
        """The time to live does not begin anew."""
        return self.session.settings.model_copy(update={"worker_vms": count, "ttl": None})

    def _plan(self, settings: Settings, silent: Mapping[str, str] | None = None) -> Plan:
        return self.session.plan(self.identity, settings=settings, scaling=True, silent=silent)[0]

    def _inventory(self) -> Inventory:
        """What is needed to decide: the rest costs requests."""
        cloud = self.session.cloud
        return inventory.pick(
            self.session.name,
            cloud.project_id,
            servers=queries.servers(cloud),
            groups=(),
            ports=queries.ports(cloud),
            addresses=queries.addresses(cloud),
            keypairs=(),
        )

    def _front_server(self, mine: Inventory) -> Server:
        """The front end. Raises SettingsError if it cannot have worker VMs."""
        server = self.session.the_server(mine)
        role = watched(server)
        if role.ask is not Ask.PREDICTION:
            raise SettingsError(
                f"Deployment {mine.name!r} has the role {role.role}, which has no worker VMs.",
                "Choose another deployment.",
            )
        return server

    def _front(self, mine: Inventory) -> SshTarget:
        server = self._front_server(mine)
        if server.status != "ACTIVE":
            raise ServerError(
                f"Server {server.name!r} is {server.status}, so its load is not known.",
                f"`deploy {mine.name}` starts or finishes it.",
            )
        if server.id not in self.targets:
            target = self.session.ssh_target(mine, server)
            require_host_key(self.session, target, server)
            self.targets = {server.id: target}
        return self.targets[server.id]
