"""When a deployment expires, and which deployments are due. Pure.

The moment is in the metadata of its servers, and nowhere else. A server that removes its own
deployment marks port and floating IP before it deletes itself, so that whatever it leaves behind
is known to be expired.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from openstack_client import lifetime
from openstack_client.cloud.resources import Server
from openstack_client.errors import Problem
from openstack_client.plan.inventory import EXPIRES_KEY, Inventory, is_expiring
from openstack_client.plan.model import Action, Item, Plan
from openstack_client.settings import Settings


def expires_at(mine: Inventory) -> dt.datetime | None:
    """When the deployment expires. If its servers disagree, the latest: never delete too early."""
    moments = [moment_of(server) for server in mine.servers]
    return max((moment for moment in moments if moment), default=None)


def moment_of(server: Server | None) -> dt.datetime | None:
    return lifetime.read(server.metadata.get(EXPIRES_KEY)) if server else None


def removal_began(mine: Inventory) -> bool:
    """Whether a server has begun to remove this deployment."""
    marks = [port.description for port in mine.ports]
    marks += [address.description for address in mine.addresses]
    marks += [group.description for group in mine.groups]
    return any(map(is_expiring, marks))


def is_due(mine: Inventory, moment: dt.datetime) -> bool:
    """Whether the deployment has expired."""
    expires = expires_at(mine)
    if expires is None:
        return not mine.servers and removal_began(mine)
    return expires <= moment


def due(deployments: Iterable[Inventory], moment: dt.datetime) -> list[Inventory]:
    """The deployments that have expired."""
    return [mine for mine in deployments if is_due(mine, moment)]


def described(mine: Inventory, moment: dt.datetime) -> str | None:
    """What `list` and `status` show, or None if it never expires."""
    if removal_began(mine):
        return "being removed"
    return lifetime.described(expires_at(mine), moment)


def metadata(settings: Settings, replaced: Server | None, moment: dt.datetime) -> Mapping[str, str]:
    """The metadata of a new server. One that replaces another keeps its moment."""
    if settings.ttl:
        return {EXPIRES_KEY: lifetime.written(moment + lifetime.parse(settings.ttl))}
    kept = moment_of(replaced)
    return {EXPIRES_KEY: lifetime.written(kept)} if kept else {}


def decide_expiry(plan: Plan, settings: Settings, mine: Inventory, removal: str) -> None:
    """Show the time to live. `removal` is why the server cannot remove itself, if it cannot."""
    if removal_began(mine):
        plan.problems.append(
            Problem(
                "time to live",
                f"deployment {plan.name!r} has expired and is being removed.",
                f"Run: delete {plan.name}. Then deploy again.",
            )
        )
    kept = moment_of(plan.front.server)
    if not settings.ttl and kept is None:
        return
    if settings.ttl:
        action = Action.CHANGE if kept and plan.front.keeps_server else Action.CREATE
        plan.items.append(
            Item("time to live", settings.ttl, action, "counts from the end of deploy")
        )
    elif kept:
        plan.items.append(Item("time to live", lifetime.written(kept), Action.FOUND))
    if removal:
        plan.warnings.append(
            f"the server cannot remove itself when it expires: {removal}. Run `reap --yes` from "
            "cron on a machine with credentials."
        )
