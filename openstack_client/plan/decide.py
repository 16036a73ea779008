"""Decide what to make, change, keep or replace, and all that stands in the way. Pure.

`decide` takes settings and facts and gives a `Plan`; the same facts give the same plan, and
nothing is asked or made here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import (
    Address,
    Facts,
    Flavor,
    Group,
    Image,
    Network,
    Port,
    Quota,
    Server,
)
from openstack_client.errors import Problem
from openstack_client.names import made_name, resolve
from openstack_client.plan import baked_images, choices, inventory, quota, security_group
from openstack_client.plan.choices import Choice
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.keypair import KeyPlan
from openstack_client.plan.model import Action, Item, Parcel, Plan
from openstack_client.service import HTTP_PORT, SSH_PORT
from openstack_client.settings import LEAST_BUILD_TIMEOUT, Settings

LOOKING_ONLY = {"reader", "auditor", "observer"}
NEEDED_SERVICES = ("compute", "image", "network")
SLEEPING = {
    "PAUSED": "unpause",
    "SUSPENDED": "resume",
    "SHELVED": "unshelve",
    "SHELVED_OFFLOADED": "unshelve",
    "RESCUE": "unrescue",
    "VERIFY_RESIZE": "resize confirm",
}

Thing = TypeVar("Thing", Server, Group, Port, Address)


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
    _decide_server(plan, settings, mine, recreate)
    if plan.server_action in {Action.MAKE, Action.REPLACE}:
        _decide_build(plan, settings, facts, None if stock_only else identity.project_id)
        if isinstance(parcel, Parcel):
            plan.warnings += parcel.warnings
        else:
            plan.problems += parcel
        _decide_key(plan, key)
    else:
        _decide_key_of_found(plan, key, identity)
    _decide_group(plan, settings, facts, mine)
    _decide_port(plan, mine)
    _decide_address(plan, settings, facts, mine)
    _say_server(plan, settings, facts)
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


def _take(plan: Plan, choice: Choice[choices.Thing]) -> choices.Thing | None:
    plan.problems += choice.problems
    plan.warnings += choice.warnings
    return choice.thing


def _decide_server(plan: Plan, settings: Settings, mine: Inventory, recreate: bool) -> None:
    plan.server = _only(plan, "server", [s for s in mine.servers if s.status != "DELETED"])
    server = plan.server
    if server is None:
        plan.server_action = Action.MAKE
    elif server.status == "ERROR" or recreate:
        plan.server_action = Action.REPLACE
    elif server.status in {"SHUTOFF", "STOPPED"}:
        plan.server_action = Action.START
    else:
        plan.server_action = Action.FOUND
    if server and server.status in SLEEPING and not recreate:
        verb = SLEEPING[server.status]
        plan.problems.append(
            Problem(
                "server",
                f"{server.name!r} is {server.status}.",
                f"Wake it with: openstack server {verb} {server.id}; "
                "or make it anew with --recreate.",
            )
        )


def _decide_build(plan: Plan, settings: Settings, facts: Facts, baked_in: str | None) -> None:
    _decide_image(plan, settings, facts, baked_in)
    choice = choices.flavor(settings.flavor, facts, plan.image, settings.volume_size)
    plan.flavor = _take(plan, choice)
    plan.network = _take(plan, choices.network(settings.network, facts))
    plan.zone = _take(plan, choices.zone(settings.availability_zone, facts))
    if settings.volume_size and not {"volumev3", "block-storage"} & set(facts.services):
        plan.problems.append(
            Problem(
                "volume size",
                "the cloud offers no volumes.",
                "Leave --volume-size out.",
            )
        )


def _decide_image(plan: Plan, settings: Settings, facts: Facts, baked_in: str | None) -> None:
    """The named image; or a baked one of project `baked_in` that fits; or a stock one."""
    choice = choices.image(settings.image, facts)
    plan.image, plan.image_why = _take(plan, choice), choice.why
    recipe = plan.parcel.recipe if plan.parcel else None
    if settings.image is not None or plan.image is None or recipe is None or baked_in is None:
        return
    image, why = baked_images.choose(facts.images, recipe, plan.image, baked_in)
    if choices.flavor(settings.flavor, facts, image, settings.volume_size).problems:
        plan.image_why += f"; baked {image.name!r} needs a larger flavor"
        return
    plan.image, plan.image_why = image, why


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


def _decide_group(plan: Plan, settings: Settings, facts: Facts, mine: Inventory) -> None:
    if settings.security_group:
        found = resolve("security group", settings.security_group, facts.groups)
        if isinstance(found, Problem):
            plan.problems.append(found)
        else:
            plan.group, plan.group_given = found, True
            detail = f"as it is; it must let in {HTTP_PORT} and {SSH_PORT}"
            plan.items.append(Item("security group", found.name, Action.FOUND, detail, found.id))
        return
    plan.group = _only(plan, "security group", mine.groups)
    wanted = security_group.wanted_rules(settings.allow_from, settings.ssh_from)
    present = plan.group.rules if plan.group else ()
    plan.add_rules, plan.drop_rules = security_group.difference(wanted, present)
    action, detail = Action.MAKE, security_group.words(wanted)
    if plan.group:
        changed = plan.add_rules or plan.drop_rules
        action = Action.CHANGE if changed else Action.FOUND
        if changed:
            closes = security_group.words(plan.drop_rules)
            detail = f"to {detail}" + (f"; closes {closes}" if closes else "")
    name = plan.group.name if plan.group else made_name(plan.name)
    plan.items.append(
        Item("security group", name, action, detail, plan.group.id if plan.group else "")
    )


def _decide_port(plan: Plan, mine: Inventory) -> None:
    plan.port = _only(plan, "port", mine.ports)
    if plan.port:
        if plan.network and plan.port.network != plan.network.id:
            plan.problems.append(
                Problem(
                    "port",
                    f"{plan.port.address} of this deployment is on another network.",
                    f"Delete the deployment first: delete {plan.name}.",
                )
            )
        plan.items.append(Item("port", plan.port.address, Action.FOUND, "", plan.port.id))
    elif plan.server_action in {Action.MAKE, Action.REPLACE}:
        on = f"on network {plan.network.name}" if plan.network else ""
        plan.items.append(Item("port", made_name(plan.name), Action.MAKE, on))
    elif plan.server and plan.server.status not in SLEEPING:
        plan.problems.append(
            Problem(
                "port",
                f"that of server {plan.server.name!r} is gone: somebody deleted it.",
                "Make the server anew with --recreate.",
            )
        )


def _decide_address(plan: Plan, settings: Settings, facts: Facts, mine: Inventory) -> None:
    if not plan.floating:
        return
    if settings.floating_ip != "auto":
        _take_given_address(plan, settings.floating_ip, facts)
        return
    plan.address = _only(plan, "floating IP", mine.addresses)
    if plan.address:
        bound = plan.port is not None and plan.address.port == plan.port.id
        action = Action.FOUND if bound else Action.CHANGE
        plan.items.append(Item("floating IP", plan.address.address, action, "", plan.address.id))
        return
    inner = plan.network or _network_of(plan.port, facts)
    choice = choices.external_network(settings.external_network, "auto", facts, inner)
    plan.external = _take(plan, choice)
    where = f"from {plan.external.name}" if plan.external else ""
    plan.items.append(Item("floating IP", "a new one", Action.MAKE, where))


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
        Item("floating IP", found.address, action, "as asked; kept on delete", found.id)
    )


def _network_of(port: Port | None, facts: Facts) -> Network | None:
    return next((entry for entry in facts.networks if port and entry.id == port.network), None)


def _say_server(plan: Plan, settings: Settings, facts: Facts) -> None:
    server, action = plan.server, plan.server_action
    name = server.name if server else made_name(plan.name)
    if action in {Action.MAKE, Action.REPLACE}:
        parts = [thing.name for thing in (plan.image, plan.flavor, plan.network) if thing]
        parts += [f"{settings.volume_size} GB volume"] if settings.volume_size else []
        parts += [f"zone {plan.zone}"] if plan.zone else []
        parts += [f"{len(plan.parcel.data):,} bytes of user data"] if plan.parcel else []
        if action is Action.REPLACE and server:
            reason = f" ({server.fault})" if server.fault else ""
            parts.insert(0, f"was {server.status}{reason}")
        detail = ", ".join(parts)
    else:
        detail = server.status if server else ""
        others = _differences(server, plan.parcel, settings, facts) if server else []
        if others:
            plan.warnings.append(
                f"server {name!r} was made with {'; '.join(others)}. --recreate makes it anew "
                "(its address stays)."
            )
    plan.items.append(Item("server", name, action, detail, server.id if server else ""))


def _differences(
    server: Server, parcel: Parcel | None, settings: Settings, facts: Facts
) -> list[str]:
    """What a server that is there has, and a new one would not; its image may be gone by now."""
    found = []
    made_of = server.metadata.get(inventory.DATA_KEY)
    if parcel and made_of and made_of != parcel.digest:
        found.append("other code or settings than those on this disk")
    wanted = settings.flavor and resolve("flavor", settings.flavor, facts.flavors)
    if isinstance(wanted, Flavor) and server.flavor not in {"", wanted.name, wanted.id}:
        found.append(f"flavor {server.flavor!r}, not {wanted.name!r}")
    image = settings.image and resolve("image", settings.image, facts.images)
    if isinstance(image, Image) and server.image not in {"", image.id}:
        found.append(f"another image than {image.name!r}")
    return found


def _only(plan: Plan, kind: str, found: Sequence[Thing]) -> Thing | None:
    """The one of its kind; more than one is told, never guessed about."""
    if len(found) > 1:
        ids = ", ".join(thing.id for thing in found)
        plan.problems.append(
            Problem(
                kind,
                f"deployment {plan.name!r} has {len(found)}: {ids}.",
                f"Delete the deployment (delete {plan.name}) and deploy again, "
                "or delete all but one.",
            )
        )
    return found[0] if found else None
