"""What a plan is: every part with what will be done about it, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

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
from openstack_client.plan.keypair import KeyPlan


class Action(StrEnum):
    MAKE = "make"
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
    """The rendered user data, the code that is handed over later, and what to call them."""

    data: bytes
    code_hash: str
    digest: str
    """Of what the user data makes of a server: see `UserData`."""
    payload: bytes = b""
    recipe: baked_images.Recipe | None = None
    """What a baked image must have been made of."""
    warnings: tuple[str, ...] = ()


@dataclass
class Plan:
    """What will be done. With `problems`, nothing will."""

    name: str
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    image: Image | None = None
    image_why: str = ""
    flavor: Flavor | None = None
    network: Network | None = None
    external: Network | None = None
    zone: str | None = None
    key: KeyPlan | None = None
    group: Group | None = None
    group_given: bool = False
    add_rules: list[Rule] = field(default_factory=list)
    drop_rules: list[Rule] = field(default_factory=list)
    port: Port | None = None
    address: Address | None = None
    floating: bool = True
    server: Server | None = None
    server_action: Action = Action.MAKE
    parcel: Parcel | None = None

    @property
    def ssh_user(self) -> str:
        if self.server_action in {Action.FOUND, Action.START} and self.server:
            return self.server.metadata.get(inventory.USER_KEY, "debian")
        return choices.ssh_user(self.image) if self.image else "debian"
