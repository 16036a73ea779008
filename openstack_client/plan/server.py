"""Decide whether to create, keep, start or replace a server, and its image and flavor."""

from __future__ import annotations

from openstack_client.cloud.resources import (
    Facts,
    Flavor,
    Image,
    Server,
)
from openstack_client.errors import Problem
from openstack_client.names import resolve
from openstack_client.places import COMMAND
from openstack_client.plan import baked_images, choices, inventory, noted
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, Item, Parcel, Plan, ServerPlan
from openstack_client.roles import Ask
from openstack_client.settings import Settings

# Each status with the command that ends it.
SLEEPING = {
    "PAUSED": "unpause",
    "SUSPENDED": "resume",
    "SHELVED": "unshelve",
    "SHELVED_OFFLOADED": "unshelve",
    "RESCUE": "unrescue",
    "VERIFY_RESIZE": "resize confirm",
}


def decide_server(plan: Plan, member: ServerPlan, mine: Inventory, recreate: bool) -> None:
    """Decide what to do with one server. `mine` is what belongs to it alone."""
    server = plan.only("server", [s for s in mine.servers if s.status != "DELETED"])
    member.server = server
    if server is None:
        member.action = Action.CREATE
    elif server.status == "ERROR" or recreate:
        member.action = Action.REPLACE
    elif server.status in {"SHUTOFF", "STOPPED"}:
        member.action = Action.START
    else:
        member.action = Action.FOUND
        _check_role(plan, member, server)
    if server and server.status in SLEEPING and not recreate:
        verb = SLEEPING[server.status]
        plan.problems.append(
            Problem(
                "server",
                f"{server.name!r} is {server.status}.",
                f"Run: openstack server {verb} {server.id}; or recreate it with --recreate.",
            )
        )


def _check_role(plan: Plan, member: ServerPlan, server: Server) -> None:
    role, has = member.role.name, inventory.watched(server).role
    if has != role:
        plan.problems.append(
            Problem(
                "role",
                f"deployment {plan.name!r} has the role {has!r}, not {role!r}.",
                "Name its role with --role, choose another name for a new deployment, or replace "
                "the server with --recreate.",
            )
        )


def decide_build(
    plan: Plan, member: ServerPlan, settings: Settings, facts: Facts, project: str
) -> None:
    """Decide what a new server is made of."""
    _decide_image(plan, member, settings, facts, project)
    size = settings.volume_size
    choice = choices.flavor(settings.flavor, facts, member.image, size, member.role)
    member.flavor = plan.take(choice)
    member.zone = plan.take(choices.zone(settings.availability_zone, facts))
    if settings.volume_size and not {"volumev3", "block-storage"} & set(facts.services):
        plan.problems.append(
            Problem(
                "volume size",
                "the cloud has no volume service.",
                "Remove --volume-size.",
            )
        )


def _decide_image(
    plan: Plan, member: ServerPlan, settings: Settings, facts: Facts, project: str
) -> None:
    """The named image, or a matching baked one of the project, or a stock one."""
    choice = choices.image(settings.image, facts)
    member.image, member.image_why = plan.take(choice), choice.why
    recipe = member.parcel.recipe if member.parcel and member.role.baked_image else None
    if settings.image is not None or member.image is None or recipe is None:
        return
    image, why = baked_images.choose(facts.images, recipe, member.image, project)
    if choices.flavor(settings.flavor, facts, image, settings.volume_size, member.role).problems:
        member.image_why += f"; baked {image.name!r} needs a larger flavor"
        return
    member.image, member.image_why = image, why


def describe_server(plan: Plan, member: ServerPlan, settings: Settings, facts: Facts) -> None:
    server, action = member.server, member.action
    name = server.name if server else member.name
    if action in {Action.CREATE, Action.REPLACE}:
        made_of = (member.image, member.flavor, plan.network)
        parts = [resource.name for resource in made_of if resource]
        parts += [f"{settings.volume_size} GB volume"] if settings.volume_size else []
        parts += [f"zone {member.zone}"] if member.zone else []
        parts += [f"{len(member.parcel.data):,} bytes of user data"] if member.parcel else []
        if action is Action.REPLACE and server:
            fault = member.fault or server.fault
            reason = f" ({fault})" if fault else ""
            parts.insert(0, f"was {server.status}{reason}")
        detail = ", ".join(parts)
    else:
        detail = server.status if server else ""
        others = _differences(server, member.parcel, settings, facts) if server else []
        unknown = noted.unknown(server, member.parcel) if server and member.parcel else ""
        plan.warnings += [unknown] if unknown else []
        if others:
            plan.warnings.append(
                f"server {name!r} was created with {'; '.join(others)}, and deploy does not change "
                "that. --recreate replaces the server; its address stays, its jobs do not."
                + (UPDATE_CODE if others[0].startswith(OTHER_CODE) else "")
            )
    plan.items.append(Item("server", name, action, detail, server.id if server else ""))


# What differs, and what else can be done about that.
OTHER_CODE = "different code"
UPDATE_CODE = " `update --code` changes the code, and keeps both."


def loss(member: ServerPlan) -> str:
    """What replacing the server deletes. A server that never ran has nothing to lose."""
    server, name = member.server, member.deployment
    if member.action is not Action.REPLACE or server is None or server.never_ran:
        return ""
    if not member.role.data:
        return ""
    can_save = server.status == "ACTIVE" and member.role.ready.ask is Ask.PREDICTION
    data = member.role.data.replace("{name}", repr(name))
    saving = f" To save them first, run: {COMMAND} backup {name} FILE."
    return f"Replacing server {server.name!r} deletes {data}.{saving if can_save else ''}"


def _differences(
    server: Server, parcel: Parcel | None, settings: Settings, facts: Facts
) -> list[str]:
    """How an existing server differs from a new one. Its image may be deleted by now."""
    found = []
    code, made_of = server.metadata.get(inventory.CODE_KEY), server.metadata.get(inventory.DATA_KEY)
    if parcel and code and code != parcel.code_hash:
        found.append(f"{OTHER_CODE} ({code}, not {parcel.code_hash} as on this machine)")
    if parcel and (named := noted.differences(server, parcel.service)):
        found += named
    elif parcel and not found and made_of and made_of != parcel.digest:
        found.append("different settings")
    wanted = settings.flavor and resolve("flavor", settings.flavor, facts.flavors)
    if isinstance(wanted, Flavor) and server.flavor not in {"", wanted.name, wanted.id}:
        found.append(f"flavor {server.flavor!r}, not {wanted.name!r}")
    image = settings.image and resolve("image", settings.image, facts.images)
    if isinstance(image, Image) and server.image not in {"", image.id}:
        found.append(f"an image other than {image.name!r}")
    return found
