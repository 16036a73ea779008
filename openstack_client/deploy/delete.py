"""Take a deployment away, in the order in which OpenStack lets go of things."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.errors import CloudError, Problem, TimedOut
from openstack_client.plan import inventory, keypair
from openstack_client.plan.inventory import Inventory

SERVER_PATIENCE = 300.0
# A group stays "in use" for a moment after its port is gone.
GROUP_PATIENCE = 30.0
PAUSE = 1.0


def find(cloud: Cloud, name: str) -> Inventory:
    """All that belongs to the deployment now."""
    return inventory.pick(
        name,
        cloud.project_id,
        servers=queries.servers(cloud),
        groups=queries.groups(cloud),
        ports=queries.ports(cloud),
        addresses=queries.addresses(cloud),
        keypairs=queries.keypairs(cloud),
    )


class Remover:
    """Removes resources one after another; one that resists does not stop the others."""

    def __init__(
        self, cloud: Cloud, note: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.cloud = cloud
        self.note = note
        self.sleep = sleep
        self.problems: list[Problem] = []

    def remove(self, what: Inventory) -> None:
        """Remove everything in `what` and wait until it is gone, or raise with what is left."""
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
        for pair in what.keypairs:
            self._delete("Nova", "keypair", pair.name, partial(nova.keypairs.delete, pair.name))
        if self.problems:
            raise CloudError(
                f"Not all of {what.name!r} could be removed.",
                f"Run `delete {what.name}` again; what is gone already is passed over.",
                problems=self.problems,
            )

    def _delete(self, service: str, kind: str, name: str, call: Callable[[], object]) -> None:
        try:
            self.cloud.ask(service, f"delete {kind} {name!r}", call)
        except CloudError as error:
            if error.status != 404:
                self.problems.append(Problem(f"{kind} {name}", error.what))
                return
        self.note(f"{kind} {name}: deleted")

    def _wait_for_servers(self, ids: set[str]) -> None:
        until = time.monotonic() + SERVER_PATIENCE
        left = set(ids)
        while left:
            there = {server_id: self._status(server_id) for server_id in left}
            left = {server_id for server_id, status in there.items() if status}
            if not left:
                return
            if time.monotonic() > until:
                names = ", ".join(f"{entry} ({there[entry]})" for entry in sorted(left))
                raise TimedOut(
                    f"Nova took the deletion, but still has after {SERVER_PATIENCE:.0f} s: "
                    f"{names}.",
                    "Run the same command again; if it stays, ask the cloud's operators.",
                )
            self.sleep(PAUSE)

    def _status(self, server_id: str) -> str:
        """Nova's word on a server, empty when it is gone."""
        try:
            status = queries.server(self.cloud, server_id).status
        except CloudError as error:
            if error.status == 404:
                return ""
            raise
        return "" if status == "DELETED" else status

    def _delete_group(self, group_id: str, name: str) -> None:
        network = self.cloud.connection.network
        until = time.monotonic() + GROUP_PATIENCE
        while True:
            try:
                self.cloud.ask(
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
    """What this machine keeps for the deployment: a generated key, the server's host keys."""
    private = keypair.kept_key(folder, name)
    candidates = [
        private,
        private.with_name(private.name + ".pub"),
        keypair.known_hosts(folder, name),
    ]
    return [path for path in candidates if path.is_file()]


def forget(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
