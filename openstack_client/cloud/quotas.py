"""Read the project's quotas."""

from __future__ import annotations

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Quota

# Each quota with the names of its limit and of what is used.
NOVA_QUOTAS = {
    "instances": ("maxTotalInstances", "totalInstancesUsed"),
    "cores": ("maxTotalCores", "totalCoresUsed"),
    "ram": ("maxTotalRAMSize", "totalRAMUsed"),
    "keypairs": ("maxTotalKeypairs", ""),
    "server_groups": ("maxServerGroups", "totalServerGroupsUsed"),
    "server_group_members": ("maxServerGroupMembers", ""),
}
NEUTRON_QUOTAS = ("floating_ips", "security_groups", "security_group_rules", "ports")


def nova(cloud: Cloud) -> dict[str, Quota]:
    """The quotas of Nova, with what is used."""
    limits = {limit.name: int(limit.value) for limit in cloud.nova.limits.get().absolute}
    return {
        name: Quota(limits[most], limits.get(used, 0))
        for name, (most, used) in NOVA_QUOTAS.items()
        if most in limits
    }


def neutron(cloud: Cloud, project: str) -> dict[str, Quota]:
    """The quotas of Neutron, with what is used."""
    raw = cloud.connection.network.get_quota(project, details=True)
    found = {name: getattr(raw, name, None) for name in NEUTRON_QUOTAS}
    return {
        name: Quota(int(value["limit"]), int(value.get("used", 0)) + int(value.get("reserved", 0)))
        for name, value in found.items()
        if isinstance(value, dict) and "limit" in value
    }
