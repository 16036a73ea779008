"""The plan: each resource with the action for it, and the problems found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from openstack_client.cloud.resources import (
    Address,
    Flavor,
    Group,
    Image,
    Network,
    Port,
    Rule,
    Server,
)
from openstack_client.errors import Problem
from openstack_client.plan import baked_images, choices, inventory
from openstack_client.plan.choices import Choice
from openstack_client.plan.keypair import KeyPlan
from openstack_client.roles import Role, ours

Found = TypeVar("Found", Server, Group, Port, Address)
Chosen = TypeVar("Chosen")


class Action(StrEnum):
    CREATE = "create"
    FOUND = "found"
    CHANGE = "change"
    REPLACE = "replace"
    START = "start"


@dataclass(frozen=True)
class Item:
    """One line of the plan."""

    kind: str
    name: str
    action: Action
    detail: str = ""
    id: str = ""


@dataclass(frozen=True)
class Parcel:
    """The rendered user data and the code to deliver later, with their hashes."""

    data: bytes
    code_hash: str
    digest: str
    """The digest of the user data; see `UserData`."""
    payload: bytes = b""
    recipe: baked_images.Recipe | None = None
    """What a baked image must contain to be used."""
    warnings: tuple[str, ...] = ()


@dataclass
class Plan:
    """What deploy will do. If there are `problems`, it does nothing."""

    name: str
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    # Shared by all servers of a deployment.
    network: Network | None = None
    key: KeyPlan | None = None
    group: Group | None = None
    group_given: bool = False
    add_rules: list[Rule] = field(default_factory=list)
    drop_rules: list[Rule] = field(default_factory=list)
    external: Network | None = None
    # For each server.
    role: Role = field(default_factory=lambda: ours("server"))
    server: Server | None = None
    server_action: Action = Action.CREATE
    image: Image | None = None
    image_why: str = ""
    flavor: Flavor | None = None
    zone: str | None = None
    parcel: Parcel | None = None
    loss: str = ""
    """What replacing the server deletes for good; empty if nothing. Deploy asks first."""
    port: Port | None = None
    floating: bool = True
    address: Address | None = None

    @property
    def keeps_server(self) -> bool:
        return self.server_action in {Action.FOUND, Action.START}

    @property
    def ssh_user(self) -> str:
        if self.keeps_server and self.server:
            return self.server.metadata.get(inventory.USER_KEY, "debian")
        return choices.ssh_user(self.image) if self.image else "debian"

    def take(self, choice: Choice[Chosen]) -> Chosen | None:
        """The chosen resource; adds its problems and warnings to the plan."""
        self.problems += choice.problems
        self.warnings += choice.warnings
        return choice.value

    def only(self, kind: str, found: Sequence[Found]) -> Found | None:
        """The only one of its kind, if any. More than one is a problem: we never guess."""
        if len(found) > 1:
            ids = ", ".join(resource.id for resource in found)
            self.problems.append(
                Problem(
                    kind,
                    f"deployment {self.name!r} has {len(found)}: {ids}.",
                    f"Delete the deployment (delete {self.name}) and deploy again, "
                    "or delete all but one.",
                )
            )
        return found[0] if found else None
