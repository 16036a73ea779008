"""Find a deployment's resources by marks on the resources themselves; there is no state file.

Servers carry the mark in their metadata; security groups, ports and floating IPs in their
description, which is set by the request that creates them, so that no resource is ever
unmarked. The mark also says which part of the deployment it is: nothing for the front end, or the
name of a worker VM. The keypair and the server group are found by their names.
`cloud/queries.py:gather` lists the resources, and `make.py:make_plan` passes what is found here to
decide.py, server.py, workers.py and network.py. `Plan.only` (model.py) refuses more than one
resource of a kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Address, Group, Keypair, Port, Server, ServerGroup
from openstack_client.names import resource_name
from openstack_client.plan.keypair import keypair_name
from openstack_client.roles import Watched, ours

MARK = re.compile(
    r"stackserve deployment (?P<name>[a-z0-9-]+) run (?P<run>[0-9a-f]+)"
    r"(?: part (?P<part>[a-z0-9-]+))?(?P<expiring> expiring)?"
)
NAME_KEY = "stackserve_deployment"
CODE_KEY = "stackserve_code"
DATA_KEY = "stackserve_userdata"
USER_KEY = "stackserve_ssh_user"
RUN_KEY = "stackserve_run"
PART_KEY = "stackserve_part"
# When the deployment expires, in UTC. cloud-init/removal/remove.py reads it too.
EXPIRES_KEY = "stackserve_expires"
# The fingerprint of the certificate authority that the console announced.
AUTHORITY_KEY = "stackserve_authority"


def mark(name: str, run: str, part: str = "") -> str:
    """The description of resources that this run creates for a part of the deployment."""
    return f"stackserve deployment {name} run {run}" + (f" part {part}" if part else "")


def marked_name(description: str) -> str | None:
    match = MARK.fullmatch(description)
    return match["name"] if match else None


def marked_run(description: str) -> str | None:
    match = MARK.fullmatch(description)
    return match["run"] if match else None


def marked_part(description: str) -> str:
    """The part of the deployment that a mark names; empty for the front end."""
    match = MARK.fullmatch(description)
    return (match["part"] or "") if match else ""


def part_of(server: Server) -> str:
    return server.metadata.get(PART_KEY, "")


def is_expiring(description: str) -> bool:
    """Whether the server has begun to remove this resource's deployment."""
    match = MARK.fullmatch(description)
    return bool(match and match["expiring"])


@dataclass(frozen=True)
class Inventory:
    """The resources of one deployment."""

    name: str
    servers: tuple[Server, ...] = ()
    groups: tuple[Group, ...] = ()
    ports: tuple[Port, ...] = ()
    addresses: tuple[Address, ...] = ()
    keypairs: tuple[Keypair, ...] = ()
    server_groups: tuple[ServerGroup, ...] = ()

    @property
    def front(self) -> Server | None:
        """The server that users reach."""
        return next((server for server in self.servers if not part_of(server)), None)

    @property
    def workers(self) -> list[str]:
        """The worker VMs of which there is a server or at least a port."""
        parts = {part_of(server) for server in self.servers}
        parts |= {marked_part(port.description) for port in self.ports}
        return sorted(parts - {""}, key=lambda part: (len(part), part))

    def worker_named(self, given: str) -> str | None:
        """The worker VM of this name, or of this number."""
        same = [part for part in self.workers if given in {part, part.rpartition("-")[2]}]
        return same[0] if same else None

    def part(self, part: str) -> Inventory:
        """What belongs to one part of the deployment alone."""
        return Inventory(
            self.name,
            tuple(server for server in self.servers if part_of(server) == part),
            tuple(group for group in self.groups if marked_part(group.description) == part),
            tuple(port for port in self.ports if marked_part(port.description) == part),
            tuple(entry for entry in self.addresses if marked_part(entry.description) == part),
        )

    @property
    def empty(self) -> bool:
        return not self.ids

    @property
    def ids(self) -> frozenset[str]:
        kinds: tuple[Iterable[Server | Group | Port | Address | Keypair | ServerGroup], ...] = (
            self.servers,
            self.groups,
            self.ports,
            self.addresses,
            self.keypairs,
            self.server_groups,
        )
        return frozenset(resource.id for kind in kinds for resource in kind)

    @property
    def members(self) -> frozenset[str]:
        """The ids of servers and ports, which tell how many servers there are."""
        return frozenset(resource.id for kind in (self.servers, self.ports) for resource in kind)

    def created_by(self, run: str) -> Inventory:
        """The resources created by one run. Never those without a mark, which are found by name."""
        return Inventory(
            self.name,
            tuple(resource for resource in self.servers if resource.metadata.get(RUN_KEY) == run),
            tuple(resource for resource in self.groups if marked_run(resource.description) == run),
            tuple(resource for resource in self.ports if marked_run(resource.description) == run),
            tuple(
                resource for resource in self.addresses if marked_run(resource.description) == run
            ),
        )

    def address_of(self, server: Server) -> str:
        """The server's public address: the floating IP of its port, or else its own."""
        own = {port.id for port in self.ports if port.server == server.id}
        for floating in self.addresses:
            if floating.port in own or floating.address in server.addresses:
                return floating.address
        return server.addresses[-1] if server.addresses else ""

    def lines(self) -> list[tuple[str, str, str]]:
        """(kind, name, id) of each resource, in the order of deletion."""
        found = [("server", server.name, server.id) for server in self.servers]
        found += [
            ("volume", f"root disk of {server.name}", volume)
            for server in self.servers
            for volume in server.volumes
        ]
        found += [("floating IP", address.address, address.id) for address in self.addresses]
        found += [("port", port.address or port.name, port.id) for port in self.ports]
        found += [("security group", group.name, group.id) for group in self.groups]
        found += [("server group", group.name, group.id) for group in self.server_groups]
        found += [("keypair", pair.name, pair.id) for pair in self.keypairs]
        return found


def authority_of(server: Server | None) -> str:
    """The fingerprint of its certificate authority, as its console announced it."""
    return server.metadata.get(AUTHORITY_KEY, "") if server else ""


def watched(server: Server | None) -> Watched:
    """How to watch this server, whatever its role."""
    found = Watched.from_metadata(server.metadata) if server else None
    return found or ours("server").watched


def pick(
    name: str,
    project_id: str,
    *,
    servers: Iterable[Server],
    groups: Iterable[Group],
    ports: Iterable[Port],
    addresses: Iterable[Address],
    keypairs: Iterable[Keypair],
    server_groups: Iterable[ServerGroup] = (),
) -> Inventory:
    """Select the deployment's resources from all of the project's."""
    return Inventory(
        name,
        tuple(resource for resource in servers if resource.metadata.get(NAME_KEY) == name),
        tuple(resource for resource in groups if marked_name(resource.description) == name),
        tuple(resource for resource in ports if marked_name(resource.description) == name),
        tuple(resource for resource in addresses if marked_name(resource.description) == name),
        tuple(resource for resource in keypairs if resource.name == keypair_name(name, project_id)),
        tuple(resource for resource in server_groups if resource.name == resource_name(name)),
    )


def keypair_of_another(mine: Inventory, identity: Identity) -> str:
    """A note about the keypair if only the server's creator can delete it: users own keypairs."""
    expected = keypair_name(mine.name, identity.project_id)
    for server in mine.servers:
        if server.key_name == expected and server.user not in {"", identity.user_id}:
            return (
                f"Keypair {server.key_name!r} stays: it belongs to the user who created the "
                f"server ({server.user}), and only they can delete it: "
                f"openstack keypair delete {server.key_name}"
            )
    return ""


def deployment_names(
    servers: Iterable[Server],
    groups: Iterable[Group],
    ports: Iterable[Port],
    addresses: Iterable[Address],
) -> list[str]:
    """All deployments with at least one resource in the project."""
    names = {server.metadata.get(NAME_KEY) for server in servers}
    kinds: tuple[Iterable[Group | Port | Address], ...] = (groups, ports, addresses)
    names |= {marked_name(resource.description) for kind in kinds for resource in kind}
    return sorted(name for name in names if name)


def metadata(
    name: str,
    *,
    run: str,
    code: str,
    data: str,
    user: str,
    watched: Watched | None = None,
    part: str = "",
) -> Mapping[str, str]:
    """The metadata of a server."""
    return {
        NAME_KEY: name,
        **(watched or ours("server").watched).as_metadata(),
        CODE_KEY: code,
        DATA_KEY: data,
        USER_KEY: user,
        RUN_KEY: run,
        **({PART_KEY: part} if part else {}),
    }
