"""Read the cloud's resources into plain values (resources.py), several queries at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar

from openstack_client.cloud import quotas
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import (
    SNAPSHOT_OF,
    Address,
    Facts,
    Flavor,
    Group,
    Image,
    Keypair,
    Network,
    Port,
    Router,
    Rule,
    Server,
    ServerGroup,
)
from openstack_client.errors import CloudError
from openstack_client.names import Named

Resource = TypeVar("Resource", bound=Named)

ROUTER_OWNERS = (
    "network:router_interface",
    "network:ha_router_replicated_interface",
    "network:router_interface_distributed",
)
PARALLEL_QUERIES = 6
# Queries that a cloud may refuse to its users, and what is then left unchecked.
OPTIONAL_QUERIES = {"neutron_quotas": "the network quotas", "roles": "the list of your roles"}


def gather(cloud: Cloud) -> Facts:
    """Query all facts for a plan. Raises CloudError if a service fails."""
    project = cloud.project_id
    queries: dict[str, Callable[[], Any]] = {
        "images": _query(cloud, "Glance", "list the images", lambda: _images(cloud)),
        "flavors": _query(cloud, "Nova", "list the flavors", lambda: _flavors(cloud)),
        "networks": _query(
            cloud, "Neutron", "list the networks", lambda: _networks(cloud, project)
        ),
        "routers": _query(cloud, "Neutron", "list the routers", lambda: _routers(cloud, project)),
        "keypairs": lambda: keypairs(cloud),
        "groups": lambda: groups(cloud),
        "addresses": lambda: addresses(cloud),
        "ports": lambda: ports(cloud),
        "servers": lambda: servers(cloud),
        "server_groups": lambda: _optional(lambda: server_groups(cloud)),
        "zones": lambda: _optional(_query(cloud, "Nova", "list the zones", lambda: _zones(cloud))),
        "nova_quotas": _query(cloud, "Nova", "show the quotas", lambda: quotas.nova(cloud)),
        "neutron_quotas": lambda: _optional(
            _query(cloud, "Neutron", "show the quotas", lambda: quotas.neutron(cloud, project))
        ),
        "services": lambda: _services(cloud),
        "roles": lambda: _optional(
            _query(cloud, "Keystone", "list your roles", lambda: _roles(cloud))
        ),
    }
    found = run_all(queries)
    unknown = tuple(what for name, what in OPTIONAL_QUERIES.items() if found[name] is None)
    known = {**found.pop("nova_quotas"), **(found.pop("neutron_quotas") or {})}
    return Facts(**found, quotas=known, unknown=unknown)


def run_all(queries: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Run the queries in parallel. The threads are daemons, so Ctrl-C does not wait for them."""
    with ThreadPool(PARALLEL_QUERIES) as pool:
        results = {name: pool.apply_async(query) for name, query in queries.items()}
        for result in results.values():
            result.wait()
        return {name: result.get() for name, result in results.items()}


def distinct(listing: Iterable[Resource]) -> tuple[Resource, ...]:
    """Each resource once, in its latest state.

    A listing that arrives in pages shows a resource twice if another one is created meanwhile.
    """
    return tuple({resource.id: resource for resource in listing}.values())


def servers(cloud: Cloud, start: str = "") -> tuple[Server, ...]:
    """The project's servers, or those whose names start like this."""
    only = {"name": f"^{start}"} if start else None
    listing = cloud.request(
        "Nova",
        "list the servers",
        lambda: cloud.nova.servers.list(search_opts=only, limit=-1),
    )
    return distinct(server_of(raw) for raw in listing)


def server(cloud: Cloud, server_id: str) -> Server:
    """The current state of one server."""
    raw = cloud.request("Nova", "show the server", lambda: cloud.nova.servers.get(server_id))
    return server_of(raw)


def server_of(raw: Any) -> Server:
    """novaclient's server as a value."""
    nets = (getattr(raw, "addresses", None) or {}).values()
    flavor, image = getattr(raw, "flavor", None) or {}, getattr(raw, "image", None) or {}
    return Server(
        id=raw.id,
        name=raw.name,
        status=raw.status,
        created=getattr(raw, "created", ""),
        task=getattr(raw, "OS-EXT-STS:task_state", None) or "",
        fault=str((getattr(raw, "fault", None) or {}).get("message", "")),
        addresses=tuple(entry["addr"] for net in nets for entry in net),
        image=str(image.get("id", "")) if isinstance(image, dict) else "",
        flavor=str(flavor.get("original_name") or flavor.get("id") or ""),
        key_name=getattr(raw, "key_name", None) or "",
        metadata=dict(getattr(raw, "metadata", None) or {}),
        volumes=tuple(
            volume["id"]
            for volume in getattr(raw, "os-extended-volumes:volumes_attached", None) or []
        ),
        zone=getattr(raw, "OS-EXT-AZ:availability_zone", None) or "",
        user=getattr(raw, "user_id", None) or "",
        never_ran=getattr(raw, "OS-SRV-USG:launched_at", "unknown") is None,
    )


def server_groups(cloud: Cloud) -> tuple[ServerGroup, ...]:
    """The project's server groups."""
    listing = cloud.request("Nova", "list the server groups", cloud.nova.server_groups.list)
    return distinct(server_group_of(raw) for raw in listing)


def server_group_of(raw: Any) -> ServerGroup:
    """novaclient's server group as a value."""
    return ServerGroup(raw.id, raw.name, "".join(raw.policies[:1]), tuple(raw.members))


def groups(cloud: Cloud) -> tuple[Group, ...]:
    """The project's security groups."""
    project = cloud.project_id
    return cloud.request(
        "Neutron",
        "list the security groups",
        lambda: distinct(
            group_of(raw) for raw in cloud.connection.network.security_groups(project_id=project)
        ),
    )


def group_of(raw: Any) -> Group:
    """openstacksdk's security group as a value."""
    rules = raw.security_group_rules or []
    ingress = [rule for rule in rules if rule.get("direction") == "ingress"]
    return Group(
        raw.id,
        raw.name,
        raw.description or "",
        tuple(_rule(rule) for rule in ingress),
        tuple(raw.tags or ()),
    )


def _rule(raw: dict[str, Any]) -> Rule:
    low, high = raw.get("port_range_min"), raw.get("port_range_max")
    group, ipv6 = raw.get("remote_group_id") or "", raw.get("ethertype") == "IPv6"
    ours = raw.get("protocol") == "tcp" and low == high and not (group and ipv6)
    everywhere = "" if group else "::/0" if ipv6 else "0.0.0.0/0"
    prefix = raw.get("remote_ip_prefix") or everywhere
    last = None if high == low else high
    protocol = raw.get("protocol") or "any"
    return Rule(low, prefix, raw["id"], other=not ours, group=group, protocol=protocol, last=last)


def addresses(cloud: Cloud) -> tuple[Address, ...]:
    """The project's floating IPs."""
    project = cloud.project_id
    return cloud.request(
        "Neutron",
        "list the floating IPs",
        lambda: distinct(
            address_of(raw) for raw in cloud.connection.network.ips(project_id=project)
        ),
    )


def address_of(raw: Any) -> Address:
    """openstacksdk's floating IP as a value."""
    return Address(
        raw.id,
        raw.floating_ip_address,
        raw.description or "",
        raw.port_id,
        raw.floating_network_id,
    )


def ports(cloud: Cloud) -> tuple[Port, ...]:
    """The project's ports."""
    return cloud.request("Neutron", "list the ports", lambda: _ports(cloud, cloud.project_id))


def port_of(raw: Any) -> Port:
    """openstacksdk's port as a value."""
    fixed = raw.fixed_ips or []
    address = fixed[0]["ip_address"] if fixed else ""
    return Port(
        raw.id,
        raw.name or "",
        raw.description or "",
        raw.network_id,
        address,
        raw.device_id or "",
        tuple(raw.tags or ()),
        tuple(getattr(raw, "security_group_ids", None) or ()),
    )


def keypairs(cloud: Cloud) -> tuple[Keypair, ...]:
    """The user's keypairs."""
    listing = cloud.request("Nova", "list the keypairs", cloud.nova.keypairs.list)
    return distinct(
        Keypair(raw.name, getattr(raw, "public_key", ""), getattr(raw, "fingerprint", ""))
        for raw in listing
    )


def _query(cloud: Cloud, service: str, doing: str, call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: cloud.request(service, doing, call)


def _optional(query: Callable[[], Any]) -> Any:
    """The result, or None if the cloud does not allow users this query."""
    try:
        return query()
    except CloudError as error:
        if error.status in {403, 404}:
            return None
        raise


def _images(cloud: Cloud) -> tuple[Image, ...]:
    return distinct(image_of(raw) for raw in cloud.connection.image.images())


def image_of(raw: Any) -> Image:
    """openstacksdk's image as a value."""
    properties = dict(raw.properties or {})
    # openstacksdk makes known properties attributes instead of listing them in `properties`.
    if getattr(raw, SNAPSHOT_OF, None):
        properties[SNAPSHOT_OF] = str(getattr(raw, SNAPSHOT_OF))
    user = properties.get("os_admin_user") or getattr(raw, "os_admin_user", None) or ""
    return Image(
        id=raw.id,
        name=raw.name or "",
        status=raw.status or "",
        min_disk_gb=int(raw.min_disk or 0),
        min_ram_mb=int(raw.min_ram or 0),
        size_bytes=int(raw.size or 0),
        virtual_bytes=int(getattr(raw, "virtual_size", None) or 0),
        distro=str(raw.os_distro or "").lower(),
        version=str(raw.os_version or ""),
        architecture=str(raw.architecture or ""),
        created=str(raw.created_at or ""),
        default_user=str(user),
        owner=str(getattr(raw, "owner_id", None) or ""),
        properties=properties,
    )


def _flavors(cloud: Cloud) -> tuple[Flavor, ...]:
    return distinct(
        Flavor(raw.id, raw.name, int(raw.vcpus), int(raw.ram), int(raw.disk))
        for raw in cloud.nova.flavors.list()
    )


def _networks(cloud: Cloud, project: str) -> tuple[Network, ...]:
    return distinct(
        Network(
            raw.id,
            raw.name or "",
            bool(raw.is_router_external),
            bool(raw.is_shared),
            raw.project_id == project,
            tuple(raw.subnet_ids or ()),
        )
        for raw in cloud.connection.network.networks()
    )


def _routers(cloud: Cloud, project: str) -> tuple[Router, ...]:
    network = cloud.connection.network
    interfaces = [
        port for port in network.ports(project_id=project) if port.device_owner in ROUTER_OWNERS
    ]
    return distinct(
        Router(
            raw.id,
            raw.name or "",
            (raw.external_gateway_info or {}).get("network_id"),
            tuple(
                fixed["subnet_id"]
                for port in interfaces
                if port.device_id == raw.id
                for fixed in port.fixed_ips or []
            ),
            # Some clouds hide it from users.
            tuple(
                fixed["ip_address"]
                for fixed in (raw.external_gateway_info or {}).get("external_fixed_ips") or []
                if fixed.get("ip_address")
            ),
        )
        for raw in network.routers(project_id=project)
    )


def _ports(cloud: Cloud, project: str) -> tuple[Port, ...]:
    return distinct(port_of(raw) for raw in cloud.connection.network.ports(project_id=project))


def _zones(cloud: Cloud) -> tuple[str, ...]:
    zones = cloud.nova.availability_zones.list(detailed=False)
    return tuple(raw.zoneName for raw in zones if raw.zoneState.get("available"))


def _roles(cloud: Cloud) -> tuple[str, ...]:
    """The roles of this login, including inherited and implied ones."""
    token = cloud.keystone.tokens.validate(cloud.session.get_token())
    return tuple(token.role_names)


def _services(cloud: Cloud) -> tuple[str, ...]:
    access = cloud.session.auth.get_access(cloud.session)
    return tuple(sorted({entry["type"] for entry in access.service_catalog.catalog}))
