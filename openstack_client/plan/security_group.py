"""The least openings: which rules the security group should have, and how to get there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from openstack_client.cloud.resources import Rule
from openstack_client.service import HTTP_PORT, SSH_PORT


def wanted_rules(allow_from: Iterable[str], ssh_from: Iterable[str] | None) -> list[Rule]:
    """The service from `allow_from`, ssh from `ssh_from` or else the same networks."""
    allowed = list(allow_from)
    ssh = allowed if ssh_from is None else list(ssh_from)
    rules = [Rule(HTTP_PORT, cidr) for cidr in allowed] + [Rule(SSH_PORT, cidr) for cidr in ssh]
    return list(dict.fromkeys(rules))


def difference(wanted: Sequence[Rule], present: Sequence[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Rules to add, and rules to take away."""
    have = {(rule.port, rule.cidr) for rule in present if not rule.other}
    want = {(rule.port, rule.cidr) for rule in wanted}
    add = [rule for rule in wanted if (rule.port, rule.cidr) not in have]
    drop = [rule for rule in present if rule.other or (rule.port, rule.cidr) not in want]
    return add, drop


def words(rules: Iterable[Rule]) -> str:
    """Openings as a person reads them."""
    by_port: dict[int | None, list[str]] = {}
    for rule in rules:
        by_port.setdefault(rule.port, []).append(rule.cidr)
    return "; ".join(f"{port or 'any'} from {', '.join(cidrs)}" for port, cidrs in by_port.items())


def ether_type(cidr: str) -> str:
    return f"IPv{ipaddress.ip_network(cidr).version}"
