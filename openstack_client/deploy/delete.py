"""Delete a deployment's resources, in the order that OpenStack requires."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import ServerGroup
from openstack_client.deploy.readings import readings_file
from openstack_client.errors import CloudError, Problem, TimedOut
from openstack_client.plan import inventory, keypair
from openstack_client.plan.inventory import Inventory

SERVER_TIMEOUT = 300.0
# A group stays "in use" for a moment after its port is deleted.
GROUP_TIMEOUT = 30.0
PAUSE = 1.0


def find(cloud: Cloud, name: str) -> Inventory:
    """The deployment's current resources."""
    return inventory.pick(
        name,
        cloud.project_id,
        servers=queries.servers(cloud),
        groups=queries.groups(cloud),
        ports=queries.ports(cloud),
        addresses=queries.addresses(cloud),
        keypairs=queries.keypairs(cloud),
        server_groups=server_groups(cloud),
    )


def server_groups(cloud: Cloud) -> tuple[ServerGroup, ...]:
    """The project's server groups; none if the cloud does not offer them."""
    try:
        return queries.server_groups(cloud)
    except CloudError as error:
        if error.status in {403, 404}:
            return ()
        raise


class Deleter:
    """Deletes resources one after another; a failure does not stop the others."""

    def __init__(
        self, cloud: Cloud, note: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.cloud = cloud
        self.note = note
        self.sleep = sleep
        self.problems: list[Problem] = []

    def delete(self, what: Inventory) -> None:
        """Delete everything in `what` and wait until it is gone. Errors list what is left."""
        nova, network = self.cloud.nova, self.cloud.connection.network
        for server in what.servers:
            self._delete("Nova", "server", server.name, partial(nova.servers.delete, server.id))
        for address in what.addresses:
            self._delete(
                "Neutron",
                "floating IP",
                address.address,
                partial(network.delete_ip, address.id, ignore_missing=False),
            )
        self._wait_for_servers({server.id for server in what.servers})
        for port in what.ports:
            self._delete(
                "Neutron",
                "port",
                port.address or port.name,
                partial(network.delete_port, port.id, ignore_missing=False),
            )
        for group in what.groups:
            self._delete_group(group.id, group.name)
        for server_group in what.server_groups:
            self._delete_server_group(server_group, {server.id for server in what.servers})
        for pair in what.keypairs:
            self._delete("Nova", "keypair", pair.name, partial(nova.keypairs.delete, pair.name))
        if self.problems:
            raise CloudError(
                f"Could not delete all of {what.name!r}.",
                f"Run `delete {what.name}` again; it skips what is already deleted.",
                problems=self.problems,
            )

    def _delete(self, service: str, kind: str, name: str, call: Callable[[], object]) -> None:
        try:
            self.cloud.request(service, f"delete {kind} {name!r}", call)
        except CloudError as error:
            if error.status != 404:
                self.problems.append(Problem(f"{kind} {name}", error.what))
                return
        self.note(f"{kind} {name}: deleted")

    def _delete_server_group(self, group: ServerGroup, deleted: set[str]) -> None:
        """Nova would take it from servers of others too, which may rely on it."""
        others = set(group.members) - deleted
        if others:
            self.note(f"server group {group.name}: kept, because it has other servers too")
            return
        groups = self.cloud.nova.server_groups
        self._delete("Nova", "server group", group.name, partial(groups.delete, group.id))

    def _wait_for_servers(self, ids: set[str]) -> None:
        until = time.monotonic() + SERVER_TIMEOUT
        left = set(ids)
        while left:
            statuses = {server_id: self._status(server_id) for server_id in left}
            left = {server_id for server_id, status in statuses.items() if status}
            if not left:
                return
            if time.monotonic() > until:
                names = ", ".join(f"{entry} ({statuses[entry]})" for entry in sorted(left))
                raise TimedOut(
                    f"Nova has not finished deleting after {SERVER_TIMEOUT:.0f} s: {names}.",
                    "Run the command again; if this persists, ask the cloud's operators.",
                )
            self.sleep(PAUSE)

    def _status(self, server_id: str) -> str:
        """The server's status, empty if it is deleted."""
        try:
            status = queries.server(self.cloud, server_id).status
        except CloudError as error:
            if error.status == 404:
                return ""
            raise
        return "" if status == "DELETED" else status

    def _delete_group(self, group_id: str, name: str) -> None:
        network = self.cloud.connection.network
        until = time.monotonic() + GROUP_TIMEOUT
        while True:
            try:
                self.cloud.request(
                    "Neutron",
                    f"delete security group {name!r}",
                    lambda: network.delete_security_group(group_id, ignore_missing=False),
                )
            except CloudError as error:
                if error.status == 409 and time.monotonic() < until:
                    self.sleep(PAUSE)
                    continue
                if error.status != 404:
                    self.problems.append(Problem(f"security group {name}", error.what))
                    return
            self.note(f"security group {name}: deleted")
            return


def local_files(folder: Path, name: str) -> list[Path]:
    """The deployment's files on this machine: keys, host keys and what autoscale has read."""
    private = keypair.kept_key(folder, name)
    hosts = keypair.known_hosts(folder, name)
    candidates = [
        private,
        private.with_name(private.name + ".pub"),
        hosts,
        keypair.authority(folder, name),
        readings_file(folder, name),
        *sorted(hosts.parent.glob(f"{name}.*")),
    ]
    return [path for path in candidates if path.is_file()]


def delete_files(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
