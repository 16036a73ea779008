"""Decide which worker VMs a deployment has, and how they are spread over hypervisors. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

from openstack_client.cloud.resources import Facts
from openstack_client.errors import Problem
from openstack_client.names import resource_name
from openstack_client.plan import inventory
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, GroupPlan, Item, Parcel, Plan, ServerPlan
from openstack_client.roles import Role

POLICY = "soft-anti-affinity"
STRICT = "anti-affinity"


def choose(
    present: Mapping[str, bool], wanted: int | None, kind: str
) -> tuple[list[str], list[str]]:
    """The worker VMs to have, and those to remove.

    `present` says of each whether it is alive. Dead ones are removed first, then the last ones. By
    default, there are as many as before.
    """
    count = len(present) if wanted is None else wanted
    order = sorted(present, key=lambda part: (not present[part], _number(part)))
    names = (f"{kind}-{number}" for number in itertools.count(1))
    added = itertools.islice(
        (name for name in names if name not in present), max(0, count - len(order))
    )
    return sorted([*order[:count], *added], key=_number), order[count:]


def _number(part: str) -> tuple[int, str]:
    digits = part.rpartition("-")[2]
    return (int(digits) if digits.isdigit() else 0), part


def decide_workers(
    plan: Plan,
    wanted: int | None,
    mine: Inventory,
    role: Role | None,
    parcel: Parcel | None,
    silent: Collection[str] = (),
) -> None:
    """Add the worker VMs to the plan. `role` is theirs; None if the deployment cannot have any."""
    if role is None and wanted:
        plan.problems.append(
            Problem(
                "worker VMs",
                f"the role {plan.front.role.name!r} has no workers.",
                "Remove --worker-vms.",
            )
        )
    alive = {part: part not in silent and _is_alive(mine.part(part)) for part in mine.workers}
    parts, surplus = choose(alive, wanted if role else 0, role.name if role else "")
    group = GroupPlan(role.name if role else "")
    plan.servers += [
        ServerPlan(plan.name, part, role=role, group=group, parcel=parcel) for part in parts if role
    ]
    plan.surplus = _surplus(mine, surplus, everything=not parts)


def _is_alive(mine: Inventory) -> bool:
    return any(server.status not in {"ERROR", "DELETED"} for server in mine.servers)


def replace_silent(plan: Plan, silent: Mapping[str, str]) -> None:
    """Replace the worker VMs that run but do not work any more."""
    for member in plan.workers:
        if member.action is Action.FOUND and member.part in silent:
            member.action, member.fault = Action.REPLACE, silent[member.part]


def broken(mine: Inventory) -> list[str]:
    """What is wrong with each worker VM that cannot work."""
    found = []
    for part in mine.workers:
        servers = mine.part(part).servers
        status = servers[0].status if servers else "gone"
        if status in {"ERROR", "DELETED", "SHUTOFF", "gone"}:
            found.append(f"{part} is {'in ' if status == 'ERROR' else ''}{status}")
    return found


def _surplus(mine: Inventory, parts: Sequence[str], *, everything: bool) -> Inventory:
    """What is removed: these worker VMs and, with the last one, what all of them share."""
    servers = [server for server in mine.servers if inventory.part_of(server) in parts]
    ports = [port for port in mine.ports if inventory.marked_part(port.description) in parts]
    if not everything:
        return Inventory(mine.name, servers=tuple(servers), ports=tuple(ports))
    groups = [group for group in mine.groups if inventory.marked_part(group.description)]
    return Inventory(
        mine.name,
        servers=tuple(servers),
        ports=tuple(ports),
        groups=tuple(groups),
        server_groups=mine.server_groups,
    )


def describe_surplus(plan: Plan) -> None:
    for kind, name, id_ in plan.surplus.lines():
        plan.items.append(Item(kind, name, Action.REMOVE, "", id_))


def check_code(plan: Plan) -> None:
    """Workers and front end must have the same code. A front end keeps the code it has."""
    front, new = plan.front, [member for member in plan.workers if not member.keeps_server]
    if not new or not front.keeps_server or front.server is None:
        return
    has = front.server.metadata.get(inventory.CODE_KEY, "")
    brings = new[0].parcel.code_hash if new[0].parcel else has
    if has != brings:
        plan.problems.append(
            Problem(
                "code",
                f"server {front.server.name!r} has the code {has}; new worker VMs would get "
                f"{brings}, the code on this machine.",
                "Use the code that it was deployed with, or replace all servers with --recreate.",
            )
        )


def decide_spreading(plan: Plan, mine: Inventory, facts: Facts) -> None:
    """Put new worker VMs in a server group, so that Nova prefers different hypervisors for them."""
    new = [member for member in plan.workers if not member.keeps_server]
    if not plan.workers:
        return
    if facts.server_groups is None:
        if new:
            plan.warnings.append(_unspread("this cloud does not offer server groups"))
        return
    found = plan.server_group = plan.only("server group", mine.server_groups)
    if found:
        plan.items.append(Item("server group", found.name, Action.FOUND, found.policy, found.id))
        if found.policy == STRICT and new:
            plan.warnings.append(
                f"server group {found.name!r} has the policy {STRICT}: Nova refuses a worker VM "
                "that has no hypervisor for itself."
            )
    elif new:
        quota = facts.quotas.get("server_groups")
        if quota and quota.free == 0:
            plan.warnings.append(_unspread("the quota of server groups is used up"))
            return
        plan.create_server_group = True
        name = resource_name(plan.name)
        plan.items.append(Item("server group", name, Action.CREATE, POLICY))
    _fill(plan, new, facts)


def _fill(plan: Plan, new: Sequence[ServerPlan], facts: Facts) -> None:
    """Assign the places of the server group, of which there is a quota."""
    quota = facts.quotas.get("server_group_members")
    leaving = {member.server.id for member in new if member.server}
    members = set(plan.server_group.members if plan.server_group else ()) - leaving
    free = len(new) if quota is None or quota.limit < 0 else max(0, quota.limit - len(members))
    for member in new[:free]:
        member.spread = True
    if len(new) > free:
        plan.warnings.append(
            f"a server group of this project has at most {quota.limit if quota else 0} members; "
            f"{len(new) - free} worker VMs may share a hypervisor with others."
        )


def _unspread(why: str) -> str:
    return f"{why}; worker VMs may share a hypervisor."
