"""Decide what to create, change, keep or replace, and collect all problems. Pure.

`decide` turns settings and facts into a `Plan`. The same input gives the same plan; nothing is
requested or created here.
"""

from __future__ import annotations

import dataclasses
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
from openstack_client.plan.model import Action, Item, Parcel, Plan
from openstack_client.plan.network import decide_address, decide_group, decide_port
from openstack_client.plan.server import decide_build, decide_server, describe_server, loss
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
) -> Plan:
    """The complete plan, with every problem that can be found before anything is created."""
    plan = Plan(settings.name, role=role or ours("server"), key=None)
    plan.floating = plan.role.floating_ip and settings.floating_ip != "none"
    _check_access(plan, facts, identity)
    _check_timeout(plan, settings)
    plan.parcel = parcel if isinstance(parcel, Parcel) else None
    decide_server(plan, settings, mine, recreate)
    if not plan.keeps_server:
        decide_build(plan, settings, facts, identity.project_id if plan.role.baked_image else None)
        if isinstance(parcel, Parcel):
            plan.warnings += parcel.warnings
        else:
            plan.problems += parcel
        _decide_key(plan, key)
    else:
        _keep_key(plan, key, identity)
    decide_group(plan, settings, facts, mine)
    decide_port(plan, mine)
    decide_address(plan, settings, facts, mine)
    describe_server(plan, settings, facts)
    decide_expiry(plan, settings, mine, facts.removal)
    plan.loss = loss(plan)
    plan.problems += quota.shortages(needs(plan, settings), _quotas(facts))
    plan.warnings += [f"this cloud does not show {what}; not checked" for what in facts.unknown]
    return plan


def needs(plan: Plan, settings: Settings) -> dict[str, int]:
    """What the plan adds to the project's usage."""
    created = {item.kind for item in plan.items if item.action is Action.CREATE}
    found = {
        "floating_ips": int("floating IP" in created),
        "security_groups": int("security group" in created),
        # Neutron adds two egress rules to every new group.
        "security_group_rules": len(plan.add_rules) + 2 * int("security group" in created),
        "ports": int("port" in created),
        "keypairs": int("keypair" in created),
    }
    if plan.server_action is Action.CREATE:
        found["instances"] = 1
        if plan.flavor:
            found |= {"cores": plan.flavor.vcpus, "ram": plan.flavor.ram_mb}
    return found


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


def _decide_key(plan: Plan, key: KeyPlan | Problem) -> None:
    if isinstance(key, Problem):
        plan.problems.append(key)
        return
    plan.key = key
    plan.items.append(
        Item("keypair", key.keypair, Action.CREATE if key.create else Action.FOUND, key.why)
    )
    if key.private is None:
        plan.warnings.append(
            f"the private key of keypair {key.keypair!r} is not in ~/.ssh; `ssh` will use the "
            "ssh agent"
        )


def _keep_key(plan: Plan, key: KeyPlan | Problem, identity: Identity) -> None:
    """Keep the key of an existing server. It may be another user's, since users own keypairs."""
    if isinstance(key, KeyPlan):
        plan.key = dataclasses.replace(key, create=False, generate=False)
    owner = plan.server.user if plan.server else ""
    if owner and owner != identity.user_id:
        plan.warnings.append(
            f"the server was created by another user ({owner}) with their key, so ssh may refuse "
            "yours; use --recreate to recreate it with your key."
        )
