"""List every opening of a plan's security groups: what is open, from where, and for whom. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from openstack_client.cloud.resources import Rule
from openstack_client.plan.model import GroupPlan, Opening, Plan, ServerPlan
from openstack_client.roles import Ask, Who

USERS = {"open": "anybody", "token": "holders of a token", "oidc": "holders of a token"}
NO_TELLING = "whoever connects: the rule is not one of the role's"


def openings(plan: Plan, access: str | None, names: Mapping[str, str]) -> list[Opening]:
    """All openings; `access` is the service's preset, or None if it stays what it is.

    `names` are words for the security groups that rules name.
    """
    found = []
    for group in plan.groups:
        member = next(member for member in plan.servers if member.group is group)
        for rule in group.rules:
            source = _source(rule, group, names)
            who = _who(rule, member, plan, access)
            place = rule.port, rule.last, rule.protocol
            found.append(Opening(member.role.name, *place, source, who))
    return list(dict.fromkeys(found))


def _source(rule: Rule, group: GroupPlan, names: Mapping[str, str]) -> str:
    if rule.group and rule.group == group.key:
        return "the servers of the same security group"
    return names.get(rule.group, f"security group {rule.group}") if rule.group else rule.cidr


def _who(rule: Rule, member: ServerPlan, plan: Plan, access: str | None) -> str:
    """Who gets further than a refusal there."""
    port = next((entry for entry in member.role.ports if entry.port == rule.port), None)
    if rule.other or port is None:
        return NO_TELLING
    key = f"operators with the ssh key {plan.key.keypair}" if plan.key else "operators with its key"
    users = USERS[access] if access else "who could before"
    return {
        Who.USERS: users if member.role.ready.ask is Ask.PREDICTION else "anybody",
        Who.OPERATORS: key,
        Who.WORKERS: "this deployment's worker VMs, each with its account",
        Who.FRONT: f"{key}, through the front end",
        Who.EVERYBODY: "anybody",
    }[port.who] + (f"; {port.why}" if port.why else "")
