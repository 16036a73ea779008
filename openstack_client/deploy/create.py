"""Create a deployment's resources, one request each, each with a mark to find it by.

Each of these requests is shielded from Ctrl-C, and before a retry checks whether the first
attempt succeeded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from openstack_client import lifetime
from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Address, Group, Port, Rule, Server, ServerGroup
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.errors import ServerError
from openstack_client.names import member_name, resource_name
from openstack_client.plan import expiry, inventory, keypair, noted, security_group
from openstack_client.plan.model import GroupPlan, Plan, ServerPlan
from openstack_client.plan.workers import POLICY
from openstack_client.settings import Settings

Marked = TypeVar("Marked", Group, Port, Address)


@dataclass
class Creator:
    """Creates a plan's resources for one run of the launcher."""

    cloud: Cloud
    settings: Settings
    plan: Plan
    run: str
    interrupts: Interrupts
    created_keypair: bool = False
    created_server_group: bool = False
    group_ids: dict[str, str] = field(default_factory=dict)
    """The id of each security group, by its key in the plan."""

    def description(self, part: str) -> str:
        return inventory.mark(self.plan.name, self.run, part)

    def port(self, member: ServerPlan) -> Port:
        """A server's port, without a security group yet."""
        if member.port:
            return member.port
        assert self.plan.network is not None, "a plan without problems has a network"
        arguments = {
            "name": member.name,
            "network_id": self.plan.network.id,
            "description": self.description(member.part),
        }
        network = self.cloud.connection.network
        with self.interrupts.shield():
            return self.cloud.create(
                "Neutron",
                f"create a port on network {self.plan.network.name!r}",
                lambda: queries.port_of(network.create_port(**arguments)),
                lambda: self._own(member.part, queries.ports(self.cloud)),
            )

    def groups(self, *, new: bool) -> None:
        """The security groups, either those to create or those that exist, with their rules."""
        chosen = [group for group in self.plan.groups if (group.found is None) is new]
        for group in chosen:
            self.group_ids[group.key] = group.found.id if group.found else self._new_group(group)
        # Rules may name groups that were only just created.
        for group in chosen:
            self._rules(group)

    def _new_group(self, group: GroupPlan) -> str:
        network = self.cloud.connection.network
        arguments = {
            "name": member_name(self.plan.name, group.part),
            "description": self.description(group.part),
        }
        with self.interrupts.shield():
            return self.cloud.create(
                "Neutron",
                "create the security group",
                lambda: queries.group_of(network.create_security_group(**arguments)),
                lambda: self._own(group.part, queries.groups(self.cloud)),
            ).id

    def _rules(self, group: GroupPlan) -> None:
        """Give the group exactly the requested rules, unless it is the user's own."""
        network = self.cloud.connection.network
        for rule in group.add_rules:
            self._add_rule(self.group_ids[group.key], rule)
        for rule in group.drop_rules:
            self.cloud.request(
                "Neutron",
                f"delete the rule for port {rule.port or 'any'}",
                partial(network.delete_security_group_rule, rule.id, ignore_missing=True),
            )

    def apply_group(self, member: ServerPlan, port: Port) -> None:
        """Apply its security group to a server's port."""
        network = self.cloud.connection.network
        group = self.group_ids[member.group.key]
        self.cloud.request(
            "Neutron",
            "apply the security group",
            lambda: network.update_port(port.id, security_group_ids=[group]),
        )

    def keypair(self) -> None:
        """Create the keypair in Nova, generating a private key if needed."""
        key = self.plan.key
        if key is None or not key.create:
            return
        public = key.public
        if key.generate and key.private:
            public = keypair.generate(key.private)
        with self.interrupts.shield():
            self.cloud.create(
                "Nova",
                f"create the keypair {key.keypair!r}",
                lambda: self.cloud.nova.keypairs.create(key.keypair, public_key=public),
                lambda: self._existing_keypair(key.keypair, public),
            )
            self.created_keypair = True

    def server_group(self) -> None:
        """Create the server group, if the plan wants a new one."""
        if not self.plan.create_server_group:
            return
        name = resource_name(self.plan.name)
        nova = self.cloud.nova
        with self.interrupts.shield():
            self.plan.server_group = self.cloud.create(
                "Nova",
                "create the server group",
                lambda: queries.server_group_of(nova.server_groups.create(name, [POLICY])),
                lambda: self._existing_server_group(name),
            )
            self.created_server_group = True

    def address(self, port: Port) -> Address | None:
        """The floating IP, on the front end's port."""
        front = self.plan.front
        if not front.floating:
            return None
        network = self.cloud.connection.network
        if front.address:
            address = front.address
            if address.port != port.id:
                self.cloud.request(
                    "Neutron",
                    f"assign {address.address} to the server",
                    lambda: network.update_ip(address.id, port_id=port.id),
                )
            return address
        assert self.plan.external is not None, "a plan without problems has an external network"
        arguments = {
            "floating_network_id": self.plan.external.id,
            "port_id": port.id,
            "description": self.description(front.part),
        }
        with self.interrupts.shield():
            return self.cloud.create(
                "Neutron",
                f"create a floating IP from {self.plan.external.name!r}",
                lambda: queries.address_of(network.create_ip(**arguments)),
                lambda: self._own(front.part, queries.addresses(self.cloud)),
            )

    def server(self, member: ServerPlan, port: Port) -> Server:
        """Request a server from Nova. Returns before it is built."""
        arguments = self.server_arguments(member, port)
        with self.interrupts.shield():
            created = self.cloud.create(
                "Nova",
                "create the server",
                lambda: self.cloud.nova.servers.create(**arguments),
                lambda: self._own_server(member.part),
            )
        return created if isinstance(created, Server) else Server(created.id, member.name, "BUILD")

    def start(self, server: Server) -> None:
        """Start a stopped server."""
        self.cloud.request(
            "Nova", "start the server", lambda: self.cloud.nova.servers.start(server.id)
        )

    def server_arguments(self, member: ServerPlan, port: Port) -> dict[str, Any]:
        """The arguments of novaclient's `servers.create`."""
        image, parcel, key = member.image, member.parcel, self.plan.key
        if not (image and member.flavor and parcel and key):
            raise ServerError("Cannot create a server from an incomplete plan.")
        arguments: dict[str, Any] = {
            "name": member.name,
            "image": image.id,
            "flavor": member.flavor.id,
            "nics": [{"port-id": port.id}],
            "key_name": key.keypair,
            "userdata": parcel.data,
            "config_drive": True,
            "meta": {
                **inventory.metadata(
                    self.plan.name,
                    run=self.run,
                    code=parcel.code_hash,
                    data=parcel.digest,
                    user=member.ssh_user,
                    watched=member.role.watched,
                    part=member.part,
                ),
                **noted.metadata_of(parcel),
                **self._expiry(member),
                **self._certificate(member),
            },
        }
        if member.zone:
            arguments["availability_zone"] = member.zone
        if member.spread and self.plan.server_group:
            arguments["scheduler_hints"] = {"group": self.plan.server_group.id}
        if self.settings.volume_size:
            arguments["image"] = None
            arguments["block_device_mapping_v2"] = [
                {
                    "boot_index": 0,
                    "uuid": image.id,
                    "source_type": "image",
                    "destination_type": "volume",
                    "volume_size": self.settings.volume_size,
                    "delete_on_termination": True,
                }
            ]
        return arguments

    def _expiry(self, member: ServerPlan) -> Mapping[str, str]:
        """When the server expires: at the same time as the one it replaces, or the front end."""
        before = member.server or self.plan.front.server
        return expiry.metadata(self.settings, before, lifetime.now())

    def _certificate(self, member: ServerPlan) -> Mapping[str, str]:
        """How the front end gets its certificate, with TLS; its own is announced later."""
        if not (member.is_front and self.plan.secured):
            return {}
        return self.plan.secured.as_metadata(self.plan.certificate)

    def _add_rule(self, group: str, rule: Rule) -> None:
        network = self.cloud.connection.network
        remote = self.group_ids.get(rule.group, rule.group)
        source = (
            {"remote_group_id": remote, "ether_type": "IPv4"}
            if remote
            else {
                "remote_ip_prefix": rule.cidr,
                "ether_type": security_group.ether_type(rule.cidr),
            }
        )

        def create() -> Any:
            return network.create_security_group_rule(
                security_group_id=group,
                direction="ingress",
                protocol="tcp",
                port_range_min=rule.port,
                port_range_max=rule.port,
                **source,
            )

        def find() -> Rule | None:
            groups = [entry for entry in queries.groups(self.cloud) if entry.id == group]
            rules = groups[0].rules if groups else ()
            wanted = (rule.port, rule.cidr, remote)
            return next((have for have in rules if have.admits == wanted), None)

        who = "the deployment's other servers" if remote else rule.cidr
        self.cloud.create("Neutron", f"allow {who} to connect to port {rule.port}", create, find)

    def _existing_keypair(self, name: str, public: str) -> object | None:
        same = [pair for pair in queries.keypairs(self.cloud) if pair.name == name]
        return (
            same[0] if same and keypair.body(same[0].public_key) == keypair.body(public) else None
        )

    def _existing_server_group(self, name: str) -> ServerGroup | None:
        groups = queries.server_groups(self.cloud)
        return next((group for group in groups if group.name == name), None)

    def _own_server(self, part: str) -> Server | None:
        for server in queries.servers(self.cloud):
            mine = server.metadata.get(inventory.RUN_KEY) == self.run
            if mine and inventory.part_of(server) == part:
                return server
        return None

    def _own(self, part: str, resources: Iterable[Marked]) -> Marked | None:
        mark = self.description(part)
        return next((resource for resource in resources if resource.description == mark), None)
