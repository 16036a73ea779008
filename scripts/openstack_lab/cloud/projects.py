"""The demo user's projects, and which compute host runs the servers of each."""

from __future__ import annotations

from typing import Any

from openstack_lab.credentials import DEMO, FAKE_PROJECT
from openstack_lab.lab import FAKE_HOST, HOST, Lab

QUOTA_COMPUTE = {"instances": 10, "cores": 20, "ram": 40960, "key_pairs": 20}
# The launcher's tests create tens of servers at once.
QUOTA_COMPUTE_FAKE = {"instances": 60, "cores": 200, "ram": 400 * 1024, "key_pairs": 100}
QUOTA_NETWORK = {
    "floatingip": 10,
    "security_group": 20,
    "security_group_rule": 100,
    "port": 60,
    "network": 10,
    "router": 5,
    "subnet": 10,
}
QUOTA_NETWORK_FAKE = {
    **QUOTA_NETWORK,
    "floatingip": 60,
    "security_group": 100,
    "security_group_rule": 1000,
    "port": 300,
}


def hosts_of_projects(real: bool, fake: bool) -> dict[str, list[str]]:
    """Compute host -> the projects whose servers it runs.

    Without real guests, the fake host also serves the demo project, so that the launcher's
    command line is the same for every hypervisor.
    """
    if real and fake:
        return {HOST: [DEMO], FAKE_HOST: [FAKE_PROJECT]}
    return {HOST: [DEMO]} if real else {FAKE_HOST: [DEMO, FAKE_PROJECT]}


def create_projects(admin: Any, lab: Lab) -> dict[str, str]:
    """Create the projects with their user, roles and quotas. Returns name -> id."""
    identity = admin.identity
    user = identity.find_user("demo") or identity.create_user(
        name="demo", password=lab.secrets.demo, domain_id="default"
    )
    member = identity.find_role("member")
    ids = {}
    names = (DEMO, FAKE_PROJECT) if lab.choices.hypervisor.fake else (DEMO,)
    for name in names:
        project = identity.find_project(name) or identity.create_project(
            name=name, domain_id="default"
        )
        identity.assign_project_role_to_user(project, user, member)
        fake = name == FAKE_PROJECT
        admin.compute.update_quota_set(
            project.id, **(QUOTA_COMPUTE_FAKE if fake else QUOTA_COMPUTE)
        )
        admin.network.update_quota(project.id, **(QUOTA_NETWORK_FAKE if fake else QUOTA_NETWORK))
        ids[name] = project.id
    return ids


def assign_hosts(admin: Any, lab: Lab, project_ids: dict[str, str]) -> None:
    """Create one aggregate per host that accepts only its projects."""
    compute = admin.compute
    chosen = lab.choices.hypervisor
    known = {aggregate.name: aggregate for aggregate in compute.aggregates()}
    for host, projects in hosts_of_projects(chosen.real, chosen.fake).items():
        aggregate = known.get(host) or compute.create_aggregate(name=host)
        if host not in (aggregate.hosts or []):
            compute.add_host_to_aggregate(aggregate, host)
        ids = ",".join(project_ids[name] for name in projects)
        if (aggregate.metadata or {}).get("filter_tenant_id") != ids:
            compute.set_aggregate_metadata(aggregate, {"filter_tenant_id": ids})
