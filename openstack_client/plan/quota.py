"""Is there room in the project? Compares what a plan adds with what the quota leaves."""

from __future__ import annotations

from collections.abc import Mapping

from openstack_client.cloud.resources import Quota
from openstack_client.errors import Problem

WORDS = {
    "instances": "servers",
    "cores": "cores",
    "ram": "MB of memory",
    "keypairs": "keypairs",
    "floating_ips": "floating IPs",
    "security_groups": "security groups",
    "security_group_rules": "security group rules",
    "ports": "ports",
}
REMEDIES = {
    "floating_ips": "Release one, or give a free one with --floating-ip ADDRESS.",
    "security_groups": "Delete one, or use one with --security-group NAME.",
    "keypairs": "Delete one, or use one with --key NAME.",
    "cores": "Delete a server, take a smaller --flavor, or ask for more.",
    "ram": "Delete a server, take a smaller --flavor, or ask for more.",
}


def shortages(needs: Mapping[str, int], quotas: Mapping[str, Quota]) -> list[Problem]:
    """One problem for each quota that the plan would break."""
    found = []
    for name, need in needs.items():
        quota = quotas.get(name)
        if need <= 0 or quota is None or quota.free is None or need <= quota.free:
            continue
        what = (
            f"{need} more {WORDS[name]} needed, {quota.free} left "
            f"({quota.used} of {quota.limit} in use)."
        )
        remedy = REMEDIES.get(name, "Delete what is not needed, or ask the operators for more.")
        found.append(Problem(f"quota of {WORDS[name]}", what, remedy))
    return found
