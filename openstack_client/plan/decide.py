"""Decide what to make, change, keep or replace, and all that stands in the way. Pure.

`decide` takes settings and facts and gives a `Plan`; the same facts give the same plan, and
nothing is asked or made here.
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
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.keypair import KeyPlan
from openstack_client.plan.model import Action, Item, Parcel, Plan
from openstack_client.plan.network import decide_address, decide_group, decide_port
from openstack_client.plan.server import decide_build, decide_server, describe_server
from openstack_client.settings import LEAST_BUILD_TIMEOUT, Settings

LOOKING_ONLY = {"reader", "auditor", "observer"}
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
    stock_only: bool = False,
) -> Plan:
    """The whole plan, with every problem that can be known before anything is made.

    `stock_only`: no baked image, as `bake` itself wants it.
    """
    plan = Plan(settings.name, floating=settings.floating_ip != "none", key=None)
    _check_access(plan, facts, identity)
    _check_patience(plan, settings)
    plan.parcel = parcel if isinstance(parcel, Parcel) else None
    decide_server(plan, settings, mine, recreate)
    if plan.server_action in {Action.MAKE, Action.REPLACE}:
        decide_build(plan, settings, facts, None if stock_only else identity.project_id)
        if isinstance(parcel, Parcel):
            plan.warnings += parcel.warnings
        else:
            plan.problems += parcel
        _decide_key(plan, key)
    else:
        _decide_key_of_found(plan, key, identity)
    decide_group(plan, settings, facts, mine)
    decide_port(plan, mine)
    decide_address(plan, settings, facts, mine)
    describe_server(plan, settings, facts)
    plan.problems += quota.shortages(needs(plan, settings), _quotas(facts))
    plan.warnings += [f"{what} is not told by this cloud, so not checked" for what in facts.unknown]
    return plan


def needs(plan: Plan, settings: Settings) -> dict[str, int]:
    """What the plan adds to the project's use."""
    made = {item.kind for item in plan.items if item.action is Action.MAKE}
    found = {
        "floating_ips": int("floating IP" in made),
        "security_groups": int("security group" in made),
        # Neutron puts two rules for outgoing traffic into every new group.
        "security_group_rules": len(plan.add_rules) + 2 * int("security group" in made),
        "ports": int("port" in made),
        "keypairs": int("keypair" in made),
    }
    if plan.server_action is Action.MAKE:
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
    if facts.roles and set(facts.roles) <= LOOKING_ONLY:
        have = ", ".join(facts.roles)
        plan.problems.append(
            Problem(
                "role",
                f"{identity.user!r} may only look in project {identity.project!r} ({have}).",
                "Ask for the role 'member'.",
            )
        )
    for service in NEEDED_SERVICES:
        if service not in facts.services:
            plan.problems.append(Problem("cloud", f"it offers no {service} service."))
    if identity.warning:
        plan.warnings.append(identity.warning)


def _check_patience(plan: Plan, settings: Settings) -> None:
    if settings.timeout_build < LEAST_BUILD_TIMEOUT:
        plan.warnings.append(
            f"--timeout-build {settings.timeout_build} is under {LEAST_BUILD_TIMEOUT} s: "
            "Nova itself waits 300 s for a port."
        )


def _decide_key(plan: Plan, key: KeyPlan | Problem) -> None:
    if isinstance(key, Problem):
        plan.problems.append(key)
        return
    plan.key = key
    plan.items.append(
        Item("keypair", key.keypair, Action.MAKE if key.make else Action.FOUND, key.why)
    )
    if key.private is None:
        plan.warnings.append(
            f"the private half of keypair {key.keypair!r} is not in ~/.ssh; `ssh` will ask the "
            "agent for it"
        )


def _decide_key_of_found(plan: Plan, key: KeyPlan | Problem, identity: Identity) -> None:
    """The server has its key already; keypairs belong to users, so it may be another user's."""
    if isinstance(key, KeyPlan):
        plan.key = dataclasses.replace(key, make=False, generate=False)
    maker = plan.server.user if plan.server else ""
    if maker and maker != identity.user_id:
        plan.warnings.append(
            f"the server was made by another user of the project ({maker}) with a key of theirs, "
            "so ssh may not let you in; --recreate makes it anew with yours."
        )
