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
    ServerGroup,
)
from openstack_client.errors import Problem
from openstack_client.names import member_name
from openstack_client.plan import baked_images, choices, inventory
from openstack_client.plan.choices import Choice
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.keypair import KeyPlan
from openstack_client.plan.secured import Secured
from openstack_client.plan.ssh_from import SshFrom
from openstack_client.roles import Role, ours
from openstack_client.tls import Given

Found = TypeVar("Found", Server, Group, Port, Address, ServerGroup)
Chosen = TypeVar("Chosen")


class Action(StrEnum):
    CREATE = "create"
    FOUND = "found"
    CHANGE = "change"
    REPLACE = "replace"
    START = "start"
    REMOVE = "remove"


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
    service: tuple[tuple[str, str], ...] | None = None
    """The settings of the service in it, except for defaults; None if they are not compared."""


@dataclass(frozen=True)
class Opening:
    """One rule that lets connections in."""

    server: str
    """The role of the servers that it opens."""
    port: int | None
    last_port: int | None
    protocol: str
    source: str
    who: str

    @property
    def place(self) -> str:
        if self.port is None:
            return f"{self.protocol} any port" if self.protocol != "any" else "any protocol"
        ports = f"{self.port}-{self.last_port}" if self.last_port else str(self.port)
        return f"{self.protocol} {ports}"

    def as_json(self) -> dict[str, object]:
        return {
            "server": self.server,
            "port": self.port,
            "last_port": self.last_port or self.port,
            "protocol": self.protocol,
            "from": self.source,
            "who": self.who,
        }


@dataclass
class GroupPlan:
    """A security group, with the changes to its rules."""

    part: str = ""
    """Whose it is: the front end's if empty, or that of all servers of this role."""
    found: Group | None = None
    given: bool = False
    """Whether it is the user's own, and used unchanged."""
    add_rules: list[Rule] = field(default_factory=list)
    drop_rules: list[Rule] = field(default_factory=list)
    rules: tuple[Rule, ...] = ()
    """All that it has in the end."""

    @property
    def key(self) -> str:
        """Its id, or what stands for it in rules until it is created."""
        return self.found.id if self.found else f"new:{self.part}"


@dataclass
class ServerPlan:
    """One server of a deployment: which one it is, and what to do with it."""

    deployment: str
    part: str = ""
    """Which one it is: the front end if empty, or for example worker-1."""
    role: Role = field(default_factory=lambda: ours("server"))
    group: GroupPlan = field(default_factory=GroupPlan)
    server: Server | None = None
    action: Action = Action.CREATE
    image: Image | None = None
    image_why: str = ""
    flavor: Flavor | None = None
    zone: str | None = None
    parcel: Parcel | None = None
    fault: str = ""
    """Why it is replaced, if Nova does not know."""
    loss: str = ""
    """What replacing the server deletes for good; empty if nothing. Deploy asks first."""
    port: Port | None = None
    floating: bool = False
    address: Address | None = None
    spread: bool = False
    """Whether it is created in the deployment's server group."""

    @property
    def name(self) -> str:
        """The name of the server and its port."""
        return member_name(self.deployment, self.part)

    @property
    def is_front(self) -> bool:
        return not self.part

    @property
    def keeps_server(self) -> bool:
        return self.action in {Action.FOUND, Action.START}

    @property
    def image_has_code(self) -> bool:
        """Whether a new server finds its code on its image, as far as that says so."""
        on_image = self.image.properties.get(baked_images.PAYLOAD) if self.image else None
        recipe = self.parcel.recipe if self.parcel else None
        return recipe is not None and on_image == recipe.payload

    @property
    def ssh_user(self) -> str:
        if self.keeps_server and self.server:
            return self.server.metadata.get(inventory.USER_KEY, "debian")
        return choices.ssh_user(self.image) if self.image else "debian"


@dataclass
class Plan:
    """What deploy will do. If there are `problems`, it does nothing."""

    name: str
    servers: list[ServerPlan] = field(default_factory=list)
    """The front end first, then its worker VMs."""
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    access: str = ""
    """Who may use the service, for people."""
    secured: Secured | None = None
    """How the front end gets its certificate, with TLS."""
    certificate: Given | None = None
    """The one that is delivered, if the launcher has it."""
    openings: list[Opening] = field(default_factory=list)
    """Everything that the security groups let in."""
    ssh: SshFrom | None = None
    """From where ssh is open, if this plan decides that."""
    # Shared by all servers.
    network: Network | None = None
    key: KeyPlan | None = None
    external: Network | None = None
    server_group: ServerGroup | None = None
    create_server_group: bool = False
    seen: frozenset[str] = frozenset()
    """The servers and ports that were there when the plan was made."""
    surplus: Inventory = field(default_factory=lambda: Inventory(""))
    """What is removed once the others are up: the worker VMs that are no longer wanted."""

    def __post_init__(self) -> None:
        if not self.servers:
            self.servers = [ServerPlan(self.name)]

    @property
    def front(self) -> ServerPlan:
        """The server that users reach."""
        return self.servers[0]

    @property
    def workers(self) -> list[ServerPlan]:
        return self.servers[1:]

    @property
    def groups(self) -> list[GroupPlan]:
        """The security groups of all servers, each once."""
        return list({id(member.group): member.group for member in self.servers}.values())

    @property
    def keeps_servers(self) -> bool:
        """Whether every server is there already."""
        return all(member.keeps_server for member in self.servers)

    @property
    def loss(self) -> str:
        """What this plan deletes for good; empty if nothing. Deploy asks first."""
        lost = [member.loss for member in self.servers if member.loss]
        names = [server.name for server in self.surplus.servers]
        if names:
            lost.append(f"Removing: {', '.join(names)}.")
        return " ".join(lost)

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
