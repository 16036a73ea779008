"""What a role.toml declares. Frozen values; read.py reads them from the folder."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# The stages of a deploy are printed in a column of this width.
STAGE = r"^[a-z]{1,13}$"
# Nova stores at most this many characters in one value of a server's metadata.
LONGEST_METADATA = 255
SSH = 22
# The last step on a machine that becomes an image.
CLEAN = "clean"
HTTPS_PORT = 443
# The step that starts TLS, and its unit.
PROXY = "proxy"
ROLE_KEY = "stackserve_role"
READY_KEY = "stackserve_ready"
UNITS_KEY = "stackserve_units"
STAGES_KEY = "stackserve_stages"

StageName = Annotated[str, Field(pattern=STAGE)]
RoleName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
UnitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@*-]*$")]
ShortName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*(=[A-Za-z0-9.+:~-]+)?$")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Who(StrEnum):
    """Who may reach a port."""

    USERS = "users"
    """The networks of --allow-from."""
    OPERATORS = "operators"
    """The networks of --ssh-from, or else this machine: see plan/ssh_from.py."""
    WORKERS = "workers"
    """The worker VMs of the same deployment, and nothing else."""
    FRONT = "front"
    """The server that these workers work for, and nothing else."""

    EVERYBODY = "everybody"
    """All addresses, whatever --allow-from says."""


class TlsKind(StrEnum):
    """Where the certificate of a server with --tls comes from."""

    SELF = "self"
    """The server makes it."""
    ACME = "acme"
    """A public authority issues it for a name."""
    FILES = "files"
    """The launcher delivers it with its key."""


class Ask(StrEnum):
    """How the launcher learns that a server is ready."""

    PREDICTION = "prediction"
    """It requests a prediction."""
    PAGE = "page"
    """It requests a page over HTTP, which must answer with a status under 400."""
    CONSOLE = "console"
    """It reads on the console that the last step is done."""
    OFF = "off"
    """The server switches itself off after its last step."""


class Flavor(Frozen):
    """The smallest flavor that the role runs on."""

    ram_mb: int = Field(ge=64)
    disk_gb: int = Field(ge=1)


class Port(Frozen):
    """A TCP port that the security group opens, and for whom."""

    port: PortNumber
    who: Who
    why: str = ""
    """What it is for, if that is not obvious; the plan shows it."""


StepLimit = Annotated[int, Field(ge=1)] | Literal["launcher", "ready"]


class Step(Frozen):
    """A program that the server runs once, and the steps that must be done before it."""

    program: str = Field(min_length=1)
    """Its path in the role's folder, or else in cloud-init/files/."""
    after: tuple[StageName, ...] = ()
    after_on_old_python: tuple[StageName, ...] = ()
    """More steps to wait for, where python3 is older than 3.11."""
    limit: StepLimit = 1800
    """Seconds until it counts as failed, more if --timeout-ready is longer than its default.
    "launcher": a week, because it waits for the launcher. "ready": --timeout-ready and a minute,
    because it ends by itself."""
    stamp: str = ""
    """The file that it leaves when it is complete; it writes it with the suffix .new."""
    needs_stamps: bool = False
    """Whether all stamps must be in place before it starts."""
    in_image: bool = False
    """Whether `bake` runs it, so that servers from the image find its work done."""


class Ready(Frozen):
    ask: Ask
    port: PortNumber | None = None
    """For a page; by default the first port for users."""
    path: str = Field("/", pattern=r"^/[^\s]*$")


class TlsMore(Frozen):
    """What one kind of certificate needs besides."""

    packages: tuple[PackageName, ...] = ()
    ports: tuple[Port, ...] = ()
    limit: StepLimit = 1800
    """That of the step."""


class Tls(Frozen):
    """What a server of the role needs for --tls."""

    port: Literal[443]
    packages: tuple[PackageName, ...] = ()
    program: str = Field(min_length=1)
    """The step that starts TLS."""
    after: tuple[StageName, ...] = ()
    unit: UnitName
    """It shows the fingerprint of its authority on the console."""
    acme: TlsMore | None = None
    """Whether --tls acme applies to it too."""
    files: TlsMore | None = None
    """Whether --tls CERT,KEY applies to it too."""

    def more(self, kind: TlsKind) -> TlsMore | None:
        """What this kind needs; None if the role does not have it."""
        return {TlsKind.SELF: TlsMore(), TlsKind.ACME: self.acme, TlsKind.FILES: self.files}[kind]


class Workers(Frozen):
    """The worker VMs that a deployment of the role may have."""

    role: RoleName
    """Their role: a folder beside this one."""
    after: tuple[StageName, ...]
    """The steps after which they may join."""


class Watched(Frozen):
    """What the launcher must know to watch a server. Kept in the server's metadata."""

    role: RoleName
    ask: Ask
    port: PortNumber | None
    path: str
    units: Mapping[str, str]
    """systemd units by the names that people use for them."""
    stages: tuple[StageName, ...]

    @property
    def tls(self) -> bool:
        return self.port == HTTPS_PORT

    def as_metadata(self) -> dict[str, str]:
        return {
            ROLE_KEY: self.role,
            READY_KEY: f"{self.ask.value} {self.port or '-'} {self.path}",
            UNITS_KEY: " ".join(f"{name}={unit}" for name, unit in self.units.items()),
            STAGES_KEY: " ".join(self.stages),
        }

    @classmethod
    def from_metadata(cls, values: Mapping[str, str]) -> Self | None:
        """What the metadata says, or None if it was written before roles had folders."""
        if READY_KEY not in values:
            return None
        ask, port, path = values[READY_KEY].split(" ", 2)
        return cls(
            role=values[ROLE_KEY],
            ask=Ask(ask),
            port=None if port == "-" else int(port),
            path=path,
            units=dict(pair.split("=", 1) for pair in values.get(UNITS_KEY, "").split()),
            stages=tuple(values.get(STAGES_KEY, "").split()),
        )


class Role(Frozen):
    """A role.toml, with the folder it is in."""

    name: RoleName
    folder: Path
    purpose: str = Field(min_length=1)
    flavor: Flavor
    floating_ip: bool = True
    code: bool = False
    """Whether the launcher delivers the code and a model to it, over ssh."""
    baked_image: bool = False
    """Whether it may start from an image of `bake`, and `bake` may make one for it."""
    containers: bool = False
    """Whether it runs containers, so that --image-tag can name their image."""
    requires: tuple[Literal["broker"], ...] = ()
    """Values that the launcher must be given for it."""
    data: str = "everything that was stored on it"
    """What is lost with the server; empty if nothing. {name} stands for the deployment."""
    packages: tuple[PackageName, ...] = ()
    """Packages of the distribution, for the step `packages`."""
    ports: tuple[Port, ...] = ()
    steps: dict[StageName, Step]
    """In the order in which they are shown."""
    units: dict[ShortName, UnitName] = Field(default_factory=dict)
    ready: Ready
    workers: Workers | None = None
    """Whether --worker-vms applies to it, and to which role."""
    tls: Tls | None = None
    """Whether --tls applies to it."""
    https: PortNumber | None = None
    """The port for https://, if it serves TLS; set by `with_tls`."""
    certificate: TlsKind | None = None
    """Its kind, if it serves TLS; set by `with_tls`."""

    def with_tls(self, kind: TlsKind = TlsKind.SELF) -> Self:
        """The role as it is with --tls of this kind, which it must have."""
        assert self.tls is not None
        more = self.tls.more(kind)
        assert more is not None
        *others, last = self.steps.items()
        proxy = Step(program=self.tls.program, after=self.tls.after, limit=more.limit)
        ready = last[1].model_copy(update={"after": (*last[1].after, PROXY)})
        return self.model_copy(
            update={
                "https": self.tls.port,
                "certificate": kind,
                "packages": (*self.packages, *self.tls.packages, *more.packages),
                "ports": (*self.ports, Port(port=self.tls.port, who=Who.USERS), *more.ports),
                "steps": {**dict(others), PROXY: proxy, last[0]: ready},
                "units": {**self.units, PROXY: self.tls.unit},
                "ready": self.ready.model_copy(update={"port": self.tls.port}),
            }
        )

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.steps)

    @property
    def port(self) -> int | None:
        """The first port for users."""
        return next((entry.port for entry in self.ports if entry.who is Who.USERS), None)

    @property
    def watched(self) -> Watched:
        return Watched(
            role=self.name,
            ask=self.ready.ask,
            port=self.ready.port or self.port,
            path=self.ready.path,
            units=self.units,
            stages=self.stages,
        )

    @property
    def in_order(self) -> list[tuple[str, Step]]:
        """The steps, each after those it needs."""
        sorter = graphlib.TopologicalSorter(
            {name: (*step.after, *step.after_on_old_python) for name, step in self.steps.items()}
        )
        return [(name, self.steps[name]) for name in sorter.static_order()]

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name, step in self.steps.items():
            unknown = {*step.after, *step.after_on_old_python} - set(self.steps)
            if unknown:
                raise ValueError(
                    f"step {name!r} comes after {', '.join(sorted(unknown))}, which is not one of "
                    "its steps"
                )
        try:
            list(self.in_order)
        except graphlib.CycleError as error:
            circle = " -> ".join(error.args[1])
            raise ValueError(f"these steps wait for each other: {circle}") from None
        self._check_steps_in_image()
        unknown = set(self.workers.after if self.workers else ()) - set(self.steps)
        if unknown:
            raise ValueError(f"workers.after: {', '.join(sorted(unknown))} is not one of its steps")
        if self.stages[:1] != ("booting",):
            raise ValueError('the first step must be "booting"')
        if self.ready.ask in {Ask.PREDICTION, Ask.PAGE} and not (self.ready.port or self.port):
            raise ValueError(f"ready.ask = {self.ready.ask.value!r} needs a port for users")
        if self.code and SSH not in [entry.port for entry in self.ports]:
            raise ValueError(f"code = true needs port {SSH}: the launcher sends the code over ssh")
        for value in self.watched.as_metadata().values():
            if len(value) > LONGEST_METADATA:
                raise ValueError(
                    f"too many names: {value[:30]!r}... is longer than the {LONGEST_METADATA} "
                    "characters that Nova stores in one value"
                )
        return self

    def _check_steps_in_image(self) -> None:
        for name, step in self.steps.items():
            later = {
                other
                for other in (*step.after, *step.after_on_old_python)
                if not self.steps[other].in_image
            }
            if step.in_image and later:
                raise ValueError(
                    f"step {name!r} is in_image, but comes after {', '.join(sorted(later))}, which "
                    "is not"
                )
        if self.baked_image and not self.code and CLEAN in self.steps:
            raise ValueError(f"the name of a step of `bake` is {CLEAN!r}; choose another one")
