"""Decide the server's security group, port and floating IP."""

from __future__ import annotations

from openstack_client.cloud.resources import (
    Facts,
    Network,
    Port,
)
from openstack_client.errors import Problem
from openstack_client.names import resolve, resource_name
from openstack_client.plan import choices, security_group
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, Item, Plan
from openstack_client.plan.server import SLEEPING
from openstack_client.settings import Settings


def decide_group(plan: Plan, settings: Settings, facts: Facts, mine: Inventory) -> None:
    if settings.security_group:
        found = resolve("security group", settings.security_group, facts.groups)
        if isinstance(found, Problem):
            plan.problems.append(found)
        else:
            plan.group, plan.group_given = found, True
            detail = f"unchanged; it must allow {security_group.listed_ports(plan.role.ports)}"
            plan.items.append(Item("security group", found.name, Action.FOUND, detail, found.id))
        return
    plan.group = plan.only("security group", mine.groups)
    wanted = security_group.wanted_rules(settings.allow_from, settings.ssh_from, plan.role.ports)
    present = plan.group.rules if plan.group else ()
    plan.add_rules, plan.drop_rules = security_group.difference(wanted, present)
    action, detail = Action.CREATE, security_group.describe(wanted)
    if plan.group:
        changed = plan.add_rules or plan.drop_rules
        action = Action.CHANGE if changed else Action.FOUND
        if changed:
            removed = security_group.describe(plan.drop_rules)
            detail = f"to {detail}" + (f"; removes {removed}" if removed else "")
    name = plan.group.name if plan.group else resource_name(plan.name)
    plan.items.append(
        Item("security group", name, action, detail, plan.group.id if plan.group else "")
    )


def decide_port(plan: Plan, mine: Inventory) -> None:
    plan.port = plan.only("port", mine.ports)
    if plan.port:
        if plan.network and plan.port.network != plan.network.id:
            plan.problems.append(
                Problem(
                    "port",
                    f"{plan.port.address} of this deployment is on a different network.",
                    f"Delete the deployment first: delete {plan.name}.",
                )
            )
        plan.items.append(Item("port", plan.port.address, Action.FOUND, "", plan.port.id))
    elif plan.server_action in {Action.CREATE, Action.REPLACE}:
        on = f"on network {plan.network.name}" if plan.network else ""
        plan.items.append(Item("port", resource_name(plan.name), Action.CREATE, on))
    elif plan.server and plan.server.status not in SLEEPING:
        plan.problems.append(
            Problem(
                "port",
                f"the port of server {plan.server.name!r} was deleted.",
                "Recreate the server with --recreate.",
            )
        )


def decide_address(plan: Plan, settings: Settings, facts: Facts, mine: Inventory) -> None:
    if not plan.floating:
        return
    if settings.floating_ip != "auto":
        _take_given_address(plan, settings.floating_ip, facts)
        return
    plan.address = plan.only("floating IP", mine.addresses)
    if plan.address:
        bound = plan.port is not None and plan.address.port == plan.port.id
        action = Action.FOUND if bound else Action.CHANGE
        plan.items.append(Item("floating IP", plan.address.address, action, "", plan.address.id))
        return
    inner = plan.network or _network_of(plan.port, facts)
    choice = choices.external_network(settings.external_network, "auto", facts, inner)
    plan.external = plan.take(choice)
    where = f"from {plan.external.name}" if plan.external else ""
    plan.items.append(Item("floating IP", "(new)", Action.CREATE, where))


def _take_given_address(plan: Plan, wanted: str, facts: Facts) -> None:
    found = resolve("floating IP", wanted, facts.addresses)
    if isinstance(found, Problem):
        plan.problems.append(found)
        return
    ours = plan.port is not None and found.port == plan.port.id
    if found.port and not ours:
        free = [entry.address for entry in facts.addresses if not entry.port]
        plan.problems.append(
            Problem(
                "floating IP",
                f"{wanted} is in use by another port.",
                f"Free ones: {', '.join(free) or 'none'}.",
            )
        )
    plan.address = found
    action = Action.FOUND if ours else Action.CHANGE
    plan.items.append(
        Item("floating IP", found.address, action, "as requested; kept on delete", found.id)
    )


def _network_of(port: Port | None, facts: Facts) -> Network | None:
    return next((entry for entry in facts.networks if port and entry.id == port.network), None)
