"""Decide what to create, change, keep or replace, and collect all problems. Pure.

`decide` turns settings and facts into a `Plan`. The same input gives the same plan; nothing is
requested or created here.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import (
    Facts,
    Quota,
)
from openstack_client.errors import Problem
from openstack_client.plan import quota
from openstack_client.plan.expiry import decide_expiry
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.keypair import KeyPlan
from openstack_client.plan.model import Action, Item, Parcel, Plan, ServerPlan
from openstack_client.plan.network import (
    decide_address,
    decide_groups,
    decide_network,
    decide_port,
    keep_address,
)
from openstack_client.plan.server import decide_build, decide_server, describe_server, loss
from openstack_client.plan.workers import (
    check_code,
    decide_spreading,
    decide_workers,
    describe_surplus,
    replace_silent,
)
from openstack_client.roles import Role, ours
from openstack_client.settings import MIN_BUILD_TIMEOUT, Settings

READ_ONLY_ROLES = {"reader", "auditor", "observer"}
NEEDED_SERVICES = ("compute", "image", "network")


def decide(
    settings: Settings,
    facts: Facts,
    mine: Inventory,
    *,
    identity: Identity,
    key: KeyPlan | Problem,
    parcel: Parcel | Sequence[Problem],
    recreate: bool = False,
    role: Role | None = None,
    scaling: bool = False,
    worker_role: Role | None = None,
    worker_parcel: Parcel | Sequence[Problem] = (),
) -> Plan:
    """The complete plan, with every problem that can be found before anything is created.

    `scaling` is for a change of the number of worker VMs: it leaves alone who may reach the front
    end, and at which address.
    """
    front = ServerPlan(settings.name, role=role or ours("server"), parcel=_rendered(parcel))
    front.floating = front.role.floating_ip and settings.floating_ip != "none"
    plan = Plan(settings.name, [front], seen=mine.members)
    _check_access(plan, facts, identity)
    _check_timeout(plan, settings)
    parcel_of_workers = _rendered(worker_parcel)
    decide_workers(plan, settings.worker_vms, mine, worker_role, parcel_of_workers, facts.silent)
    for member in plan.servers:
        decide_server(plan, member, mine.part(member.part), recreate)
    replace_silent(plan, facts.silent)
    decide_network(plan, settings, facts, mine)
    for member in plan.servers:
        if not member.keeps_server:
            decide_build(plan, member, settings, facts, identity.project_id)
            _accept(plan, parcel if member.is_front else worker_parcel)
    _decide_key(plan, key, identity)
    decide_groups(plan, settings, facts, mine, scaling)
    decide_spreading(plan, mine, facts)
    for member in plan.servers:
        decide_port(plan, member, mine.part(member.part))
        if member.is_front and scaling:
            keep_address(plan, facts)
        elif member.is_front:
            decide_address(plan, settings, facts, mine)
        describe_server(plan, member, settings, facts)
        member.loss = loss(member)
    check_code(plan)
    describe_surplus(plan)
    decide_expiry(plan, settings, mine, facts.removal)
    plan.problems += quota.shortages(needs(plan, settings), _quotas(facts))
    plan.warnings += [f"this cloud does not show {what}; not checked" for what in facts.unknown]
    # Several servers have some problems in common.
    plan.problems = list(dict.fromkeys(plan.problems))
    plan.warnings = list(dict.fromkeys(plan.warnings))
    return plan


def needs(plan: Plan, settings: Settings) -> dict[str, int]:
    """What the plan adds to the project's usage."""
    created = Counter(item.kind for item in plan.items if item.action is Action.CREATE)
    rules = sum(len(group.add_rules) for group in plan.groups)
    found = {
        "floating_ips": created["floating IP"],
        "security_groups": created["security group"],
        # Neutron adds two egress rules to every new group.
        "security_group_rules": rules + 2 * created["security group"],
        "ports": created["port"],
        "keypairs": created["keypair"],
    }
    new = [member for member in plan.servers if member.action is Action.CREATE]
    flavors = [member.flavor for member in new if member.flavor]
    if new:
        found["instances"] = len(new)
    if flavors:
        found["cores"] = sum(flavor.vcpus for flavor in flavors)
        found["ram"] = sum(flavor.ram_mb for flavor in flavors)
    return found


def _rendered(parcel: Parcel | Sequence[Problem]) -> Parcel | None:
    return parcel if isinstance(parcel, Parcel) else None


def _accept(plan: Plan, parcel: Parcel | Sequence[Problem]) -> None:
    """Report what was found while the user data was rendered."""
    if isinstance(parcel, Parcel):
        plan.warnings += parcel.warnings
    else:
        plan.problems += parcel


def _quotas(facts: Facts) -> dict[str, Quota]:
    found = dict(facts.quotas)
    if "keypairs" in found:
        found["keypairs"] = Quota(found["keypairs"].limit, len(facts.keypairs))
    return found


def _check_access(plan: Plan, facts: Facts, identity: Identity) -> None:
    if facts.roles and set(facts.roles) <= READ_ONLY_ROLES:
        have = ", ".join(facts.roles)
        plan.problems.append(
            Problem(
                "role",
                f"{identity.user!r} has read-only access to project {identity.project!r} ({have}).",
                "Ask the project's administrator for the role 'member'.",
            )
        )
    for service in NEEDED_SERVICES:
        if service not in facts.services:
            plan.problems.append(Problem("cloud", f"it has no {service} service."))
    if identity.warning:
        plan.warnings.append(identity.warning)


def _check_timeout(plan: Plan, settings: Settings) -> None:
    if settings.timeout_build < MIN_BUILD_TIMEOUT:
        plan.warnings.append(
            f"--timeout-build {settings.timeout_build} is under {MIN_BUILD_TIMEOUT} s, "
            "but Nova itself waits up to 300 s for a port."
        )


def _decide_key(plan: Plan, key: KeyPlan | Problem, identity: Identity) -> None:
    """The key of new servers. Existing ones keep theirs, which may be another user's."""
    kept = [member.server for member in plan.servers if member.keeps_server]
    owners = {server.user for server in kept if server}
    for owner in sorted(owners - {"", identity.user_id}):
        plan.warnings.append(
            f"the server was created by another user ({owner}) with their key, so ssh may refuse "
            "yours; use --recreate to recreate it with your key."
        )
    if plan.keeps_servers:
        if isinstance(key, KeyPlan):
            plan.key = dataclasses.replace(key, create=False, generate=False)
        return
    if isinstance(key, Problem):
        plan.problems.append(key)
        return
    plan.key = key
    plan.items.append(
        Item("keypair", key.keypair, Action.CREATE if key.create else Action.FOUND, key.why)
    )
    if key.private is None:
        plan.warnings.append(
            f"the private key of keypair {key.keypair!r} is not in ~/.ssh; ssh, which also sends "
            "the code, will use the ssh agent"
        )
