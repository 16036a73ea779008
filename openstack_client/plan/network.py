"""Decide the servers' network, security groups, ports and floating IP."""

from __future__ import annotations

from openstack_client.cloud.resources import (
    Facts,
    Group,
    Network,
    Port,
    Rule,
)
from openstack_client.errors import Problem
from openstack_client.names import member_name, resolve
from openstack_client.plan import choices, noted, security_group
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, GroupPlan, Item, Plan, ServerPlan
from openstack_client.plan.openings import openings
from openstack_client.plan.server import SLEEPING
from openstack_client.plan.ssh_from import SshFrom, decide_ssh_from
from openstack_client.roles import Who
from openstack_client.settings import Settings


def decide_network(plan: Plan, settings: Settings, facts: Facts, mine: Inventory) -> None:
    """The network of new servers: that of the front end, if it stays."""
    if plan.keeps_servers:
        return
    if plan.front.keeps_server:
        port = next(iter(mine.part("").ports), None)
        plan.network = _network_of(port, facts)
    else:
        plan.network = plan.take(choices.network(settings.network, facts))


def decide_groups(
    plan: Plan, settings: Settings, facts: Facts, mine: Inventory, scaling: bool
) -> None:
    """The security groups and their rules, some of which name the other group."""
    front, others = plan.front.group, plan.groups[1:]
    if settings.security_group:
        _take_given_group(plan, settings.security_group, facts)
    else:
        front.found = plan.only("security group", mine.part("").groups)
        if scaling and front.found is None:
            _keep_group(front, facts, mine)
    for group in others:
        group.found = plan.only("security group", mine.part(group.part).groups)
    # Until the last worker VM is drained and gone, its way to the front end stays open.
    leaving = [group.id for group in plan.surplus.groups]
    members = [group.key for group in others] or leaving
    sources = {Who.FRONT: front.key} | dict(zip([Who.WORKERS], members, strict=False))
    names = {front.key: "the front end"} | dict.fromkeys(members, "the worker VMs")
    ssh_from = decide_ssh_from(settings, facts.route)
    if not scaling and not front.given:
        plan.ssh = ssh_from
    for group in plan.groups:
        if group.given:
            group.rules = group.found.rules if group.found else ()
            continue
        wanted = _wanted_rules(plan, group, settings, sources, ssh_from)
        if scaling and group is front and front.found:
            kept = [rule for rule in front.found.rules if not rule.group]
            wanted = kept + [rule for rule in wanted if rule.group]
        group.rules = tuple(wanted)
        _change_rules(plan, group, wanted, names)
    plan.openings = openings(
        plan, None if scaling else noted.preset(plan.front, settings.access), names
    )


def _take_given_group(plan: Plan, wanted: str, facts: Facts) -> None:
    found = resolve("security group", wanted, facts.groups)
    if isinstance(found, Problem):
        plan.problems.append(found)
        return
    plan.front.group.found, plan.front.group.given = found, True
    ports = [p for p in plan.front.role.ports if p.who is not Who.WORKERS or plan.workers]
    detail = f"unchanged; it must allow {security_group.listed_ports(ports)}"
    plan.items.append(Item("security group", found.name, Action.FOUND, detail, found.id))


def _keep_group(front: GroupPlan, facts: Facts, mine: Inventory) -> None:
    """The group that the front end was given, unchanged; it may be another project's."""
    ids = [group for port in mine.part("").ports for group in port.groups]
    if ids:
        known = {group.id: group for group in facts.groups}
        front.found, front.given = known.get(ids[0], Group(ids[0], ids[0])), True


def _wanted_rules(
    plan: Plan,
    group: GroupPlan,
    settings: Settings,
    sources: dict[Who, str],
    ssh_from: SshFrom,
) -> list[Rule]:
    role = next(member.role for member in plan.servers if member.group is group)
    networks = ssh_from.networks
    return security_group.wanted_rules(settings.allow_from, networks, role.ports, sources)


def _change_rules(plan: Plan, group: GroupPlan, wanted: list[Rule], names: dict[str, str]) -> None:
    present = group.found.rules if group.found else ()
    group.add_rules, group.drop_rules = security_group.difference(wanted, present)
    action, detail = Action.CREATE, security_group.describe(wanted, names)
    if group.found:
        changed = group.add_rules or group.drop_rules
        action = Action.CHANGE if changed else Action.FOUND
        if changed:
            removed = security_group.describe(group.drop_rules, names)
            detail = f"to {detail}" + (f"; removes {removed}" if removed else "")
    name = group.found.name if group.found else member_name(plan.name, group.part)
    plan.items.append(
        Item("security group", name, action, detail, group.found.id if group.found else "")
    )


def decide_port(plan: Plan, member: ServerPlan, mine: Inventory) -> None:
    """The port of one server. `mine` is what belongs to it alone."""
    port = member.port = plan.only("port", mine.ports)
    if port:
        if plan.network and port.network != plan.network.id:
            plan.problems.append(
                Problem(
                    "port",
                    f"{port.address} of this deployment is on a different network.",
                    f"Delete the deployment first: delete {plan.name}.",
                )
            )
        plan.items.append(Item("port", port.address, Action.FOUND, "", port.id))
    elif member.action in {Action.CREATE, Action.REPLACE}:
        on = f"on network {plan.network.name}" if plan.network else ""
        plan.items.append(Item("port", member.name, Action.CREATE, on))
    elif member.server and member.server.status not in SLEEPING:
        plan.problems.append(
            Problem(
                "port",
                f"the port of server {member.server.name!r} was deleted.",
                "Recreate the server with --recreate.",
            )
        )


def decide_address(plan: Plan, settings: Settings, facts: Facts, mine: Inventory) -> None:
    """The floating IP of the front end; the other servers have none."""
    front = plan.front
    if not front.floating:
        return
    if settings.floating_ip != "auto":
        _take_given_address(plan, settings.floating_ip, facts)
        return
    front.address = plan.only("floating IP", mine.addresses)
    if front.address:
        bound = front.port is not None and front.address.port == front.port.id
        action = Action.FOUND if bound else Action.CHANGE
        plan.items.append(Item("floating IP", front.address.address, action, "", front.address.id))
        return
    inner = plan.network or _network_of(front.port, facts)
    choice = choices.external_network(settings.external_network, "auto", facts, inner)
    plan.external = plan.take(choice)
    where = f"from {plan.external.name}" if plan.external else ""
    plan.items.append(Item("floating IP", "(new)", Action.CREATE, where))


def keep_address(plan: Plan, facts: Facts) -> None:
    """The front end keeps the floating IP that it has, whoever created it, or none."""
    front = plan.front
    bound = [entry for entry in facts.addresses if front.port and entry.port == front.port.id]
    front.address = next(iter(bound), None)
    front.floating = front.address is not None
    if front.address:
        address = front.address
        plan.items.append(Item("floating IP", address.address, Action.FOUND, "", address.id))


def _take_given_address(plan: Plan, wanted: str, facts: Facts) -> None:
    found = resolve("floating IP", wanted, facts.addresses)
    if isinstance(found, Problem):
        plan.problems.append(found)
        return
    ours = plan.front.port is not None and found.port == plan.front.port.id
    if found.port and not ours:
        free = [entry.address for entry in facts.addresses if not entry.port]
        plan.problems.append(
            Problem(
                "floating IP",
                f"{wanted} is in use by another port.",
                f"Free ones: {', '.join(free) or 'none'}.",
            )
        )
    plan.front.address = found
    action = Action.FOUND if ours else Action.CHANGE
    plan.items.append(
        Item("floating IP", found.address, action, "as requested; kept on delete", found.id)
    )


def _network_of(port: Port | None, facts: Facts) -> Network | None:
    return next((entry for entry in facts.networks if port and entry.id == port.network), None)
