"""Check the quotas: compare what a plan adds with what is left."""

from __future__ import annotations

from collections.abc import Mapping

from openstack_client.cloud.resources import Quota
from openstack_client.errors import Problem

NAMES = {
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
    "floating_ips": "Release one, or use a free one with --floating-ip ADDRESS.",
    "security_groups": "Delete one, or use one with --security-group NAME.",
    "keypairs": "Delete one, or use one with --key NAME.",
    "cores": "Delete a server, use a smaller --flavor, or ask for a higher quota.",
    "ram": "Delete a server, use a smaller --flavor, or ask for a higher quota.",
}


def shortages(needs: Mapping[str, int], quotas: Mapping[str, Quota]) -> list[Problem]:
    """A problem for each quota that the plan would exceed."""
    found = []
    for name, need in needs.items():
        quota = quotas.get(name)
        if need <= 0 or quota is None or quota.free is None or need <= quota.free:
            continue
        what = (
            f"{need} more {NAMES[name]} needed, {quota.free} left "
            f"({quota.used} of {quota.limit} in use)."
        )
        remedy = REMEDIES.get(
            name, "Delete unused resources, or ask the cloud's operators for a higher quota."
        )
        found.append(Problem(f"quota of {NAMES[name]}", what, remedy))
    return found
