"""The security group's rules: the smallest set needed, and the changes to get there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from openstack_client.cloud.resources import Rule
from openstack_client.service import HTTP_PORT, SSH_PORT


def wanted_rules(allow_from: Iterable[str], ssh_from: Iterable[str] | None) -> list[Rule]:
    """Allow the service from `allow_from`, and ssh from `ssh_from` or else `allow_from`.

    All are TCP: see deploy/create.py and cloud/queries.py. network.py names the ports for users
    who provide their own group.
    """
    allowed = list(allow_from)
    ssh = allowed if ssh_from is None else list(ssh_from)
    rules = [Rule(HTTP_PORT, cidr) for cidr in allowed] + [Rule(SSH_PORT, cidr) for cidr in ssh]
    return list(dict.fromkeys(rules))


def difference(wanted: Sequence[Rule], present: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """The rules to add and the rules to delete."""
    have = {(rule.port, rule.cidr) for rule in present if not rule.other}
    want = {(rule.port, rule.cidr) for rule in wanted}
    add = [rule for rule in wanted if (rule.port, rule.cidr) not in have]
    drop = [rule for rule in present if rule.other or (rule.port, rule.cidr) not in want]
    return add, drop


def describe(rules: Iterable[Rule]) -> str:
    """The rules as text."""
    by_port: dict[int | None, list[str]] = {}
    for rule in rules:
        by_port.setdefault(rule.port, []).append(rule.cidr)
    return "; ".join(f"{port or 'any'} from {', '.join(cidrs)}" for port, cidrs in by_port.items())


def ether_type(cidr: str) -> str:
    return f"IPv{ipaddress.ip_network(cidr).version}"
