"""The cloud's resources as plain values: the input of every decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The property in which Nova stores the id of the server a snapshot was taken from.
SNAPSHOT_OF = "instance_uuid"


@dataclass(frozen=True)
class Image:
    id: str
    name: str
    status: str = "active"
    min_disk_gb: int = 0
    min_ram_mb: int = 0
    size_bytes: int = 0
    virtual_bytes: int = 0
    distro: str = ""
    version: str = ""
    architecture: str = ""
    created: str = ""
    default_user: str = ""
    owner: str = ""
    properties: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Flavor:
    id: str
    name: str
    vcpus: int
    ram_mb: int
    disk_gb: int


@dataclass(frozen=True)
class Network:
    id: str
    name: str
    external: bool = False
    shared: bool = False
    mine: bool = True
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Router:
    """A router; `subnets` are those it has an interface on."""

    id: str
    name: str
    external_network: str | None = None
    subnets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    """Its own addresses on the external network."""


@dataclass(frozen=True)
class Keypair:
    name: str
    public_key: str
    fingerprint: str = ""

    @property
    def id(self) -> str:
        return self.name


@dataclass(frozen=True)
class Rule:
    """An ingress rule for TCP. `other` marks rules of a kind that the launcher never creates."""

    port: int | None
    cidr: str
    id: str = ""
    other: bool = False
    group: str = ""
    """The security group whose servers it admits, instead of a network."""
    protocol: str = "tcp"
    last: int | None = None
    """The last port of a range that starts at `port`."""

    @property
    def admits(self) -> tuple[int | None, str, str]:
        """What the rule lets in: equal rules admit the same."""
        return self.port, self.cidr, self.group


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    description: str = ""
    rules: tuple[Rule, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerGroup:
    """A Nova server group, which spreads its members over hypervisors."""

    id: str
    name: str
    policy: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Address:
    """A floating IP."""

    id: str
    address: str
    description: str = ""
    port: str | None = None
    network: str = ""

    @property
    def name(self) -> str:
        return self.address


@dataclass(frozen=True)
class Port:
    id: str
    name: str
    description: str = ""
    network: str = ""
    address: str = ""
    server: str = ""
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """The ids of its security groups."""


@dataclass(frozen=True)
class Server:
    id: str
    name: str
    status: str
    created: str = ""
    task: str = ""
    fault: str = ""
    addresses: tuple[str, ...] = ()
    image: str = ""
    flavor: str = ""
    key_name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    zone: str = ""
    user: str = ""
    """The id of the user who created it and owns its keypair."""
    never_ran: bool = False
    """Whether Nova says that it was never started. False if the cloud does not show this."""


@dataclass(frozen=True)
class Quota:
    """A quota; a `limit` of -1 means unlimited."""

    limit: int
    used: int

    @property
    def free(self) -> int | None:
        return None if self.limit < 0 else max(0, self.limit - self.used)


@dataclass(frozen=True)
class Route:
    """How this machine reaches an address of the cloud, and with which address of its own."""

    own: str
    to: str
    near: bool = True
    """Whether it leads to the server or its network, rather than to the cloud's API."""


@dataclass(frozen=True)
class Facts:
    """The input of a plan. A value is None if the cloud does not show it."""

    images: tuple[Image, ...] = ()
    flavors: tuple[Flavor, ...] = ()
    networks: tuple[Network, ...] = ()
    routers: tuple[Router, ...] = ()
    keypairs: tuple[Keypair, ...] = ()
    groups: tuple[Group, ...] = ()
    addresses: tuple[Address, ...] = ()
    ports: tuple[Port, ...] = ()
    servers: tuple[Server, ...] = ()
    server_groups: tuple[ServerGroup, ...] | None = ()
    zones: tuple[str, ...] | None = None
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    roles: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with each worker VM that runs but does not work any more, by its part."""
    route: Route | None = None
    """The way to the server, or to the cloud's API if no address near the server is known."""
    removal: str = ""
    """Why a server could not remove its own deployment, if it could not."""
