"""The security groups' rules: the smallest set needed, and the changes to get there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from openstack_client.cloud.resources import Rule
from openstack_client.roles import Port, Who, ours

# Servers listen on IPv4 alone.
EVERYWHERE = "0.0.0.0/0"


def wanted_rules(
    allow_from: Iterable[str],
    ssh_from: Iterable[str],
    ports: Iterable[Port] = ours("server").ports,
    groups: Mapping[Who, str] | None = None,
) -> list[Rule]:
    """Open each port to users from `allow_from`, to operators from `ssh_from`, or to everybody.

    `groups` are the security groups of the deployment's other servers, for the ports that only
    these may reach. The ports are in each role's role.toml. All are TCP: see deploy/create.py and
    cloud/queries.py.
    """
    networks = {
        Who.USERS: list(allow_from),
        Who.OPERATORS: list(ssh_from),
        Who.EVERYBODY: [EVERYWHERE],
    }
    rules = [Rule(port.port, cidr) for port in ports for cidr in networks.get(port.who, [])]
    rules += [
        Rule(port.port, "", group=groups[port.who])
        for port in ports
        if groups and port.who in groups
    ]
    return list(dict.fromkeys(rules))


def listed_ports(ports: Iterable[Port]) -> str:
    """The ports as text: ports 5100 and 22."""
    numbers = list(dict.fromkeys(str(port.port) for port in ports))
    if len(numbers) < 2:
        return f"port {numbers[0]}" if numbers else "no port"
    return f"ports {', '.join(numbers[:-1])} and {numbers[-1]}"


def difference(wanted: Sequence[Rule], present: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """The rules to add and the rules to delete."""
    have = {rule.admits for rule in present if not rule.other}
    want = {rule.admits for rule in wanted}
    add = [rule for rule in wanted if rule.admits not in have]
    drop = [rule for rule in present if rule.other or rule.admits not in want]
    return add, drop


def describe(rules: Iterable[Rule], groups: Mapping[str, str] | None = None) -> str:
    """The rules as text; `groups` has the name of each security group."""
    by_port: dict[int | None, list[str]] = {}
    for rule in rules:
        source = (groups or {}).get(rule.group, "another group") if rule.group else rule.cidr
        by_port.setdefault(rule.port, []).append(source)
    return "; ".join(f"{port or 'any'} from {', '.join(cidrs)}" for port, cidrs in by_port.items())


def ether_type(cidr: str) -> str:
    return f"IPv{ipaddress.ip_network(cidr).version}"
