"""What a VM's user data is made from: every value, and nothing read from anywhere else.

`UserDataContext` goes in, `UserData` comes out (see render.py). Both are frozen:
the same context gives the same bytes, today and on another machine.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

# A URL or an address ends up in a shell-read settings file and in YAML: no blanks, quotes
# or control characters, whatever else it holds.
PLAIN = re.compile(r"[^\s'\"\\`$<>|;\x00-\x1f]+")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
HOST_LABELS = re.compile(r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)(\.(?!-)[a-zA-Z0-9-]{1,63}(?<!-))*")


def _plain(value: str) -> str:
    if not PLAIN.fullmatch(value):
        raise ValueError("must not be empty or hold blanks, quotes, $ or other shell characters")
    return value


def _without_password(value: str) -> str:
    """User data can be read at the VM's metadata address for as long as the VM lives."""
    if re.search(r"://[^/]*@", value):
        raise ValueError(
            "must not hold a user name or password: user data can be read from the VM for ever"
        )
    return value


def _url(value: str) -> str:
    if not re.match(r"https?://[^/]", value):
        raise ValueError("must be an address that starts with http:// or https://")
    return _without_password(_plain(value))


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not HOST_LABELS.fullmatch(value):
            raise ValueError("must be a host name or an IP address") from None
    return value


def _certificates(value: str) -> str:
    blocks = value.count("-----BEGIN CERTIFICATE-----")
    if blocks == 0 or blocks != value.count("-----END CERTIFICATE-----"):
        raise ValueError("must hold whole PEM certificates (-----BEGIN CERTIFICATE----- ...)")
    if "PRIVATE KEY" in value:
        raise ValueError("holds a private key: give the certificates alone")
    return value


def _public_key(value: str) -> str:
    if not re.fullmatch(r"[^\n]*\b(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+[^\n]*", value):
        raise ValueError("must be one public key line, as in ~/.ssh/id_ed25519.pub")
    return value


Plain = Annotated[str, AfterValidator(_plain)]
Setting = Annotated[str, AfterValidator(_plain), AfterValidator(_without_password)]
SettingName = Annotated[str, Field(pattern=r"^STACKSERVE_[A-Z_]+$")]
Url = Annotated[str, AfterValidator(_url)]
Host = Annotated[str, AfterValidator(_host)]
Certificates = Annotated[str, AfterValidator(_certificates)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*(=[A-Za-z0-9.+:~-]+)?$")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Role(StrEnum):
    """What the VM does: everything, or nothing but predict for a server elsewhere; or nothing at
    all, because it becomes an image."""

    SERVER = "server"
    WORKER = "worker"
    IMAGE = "image"


class CarriedFile(Frozen):
    """A file that goes onto the VM: its path there, relative, and its bytes."""

    path: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]*(/[A-Za-z0-9_][A-Za-z0-9_.@+-]*)*$")
    content: bytes


class Broker(Frozen):
    """The server's RabbitMQ, as a worker VM reaches it. Its password is never in user data."""

    host: Host
    port: int = Field(default=5672, ge=1, le=65535)


class UserDataContext(Frozen):
    """All that decides what a VM becomes."""

    role: Role = Role.SERVER
    name: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")
    code: tuple[CarriedFile, ...] = Field(min_length=1)
    """The production_server package as `read_code` gives it: paths start with its name."""
    model: tuple[CarriedFile, ...] | None = None
    """A model in place of the shipped one, as `read_model` gives it; None: the shipped one."""

    port: int = Field(default=5100, ge=1, le=65535)
    workers: int | None = Field(default=None, ge=1, le=64)
    """Worker processes on this VM; None: the server decides, by its cores."""
    workers_join: bool = False
    """Role server: RabbitMQ listens on the VM's own network too, for worker VMs."""
    broker: Broker | None = None
    """Role worker: the server to work for."""
    settings: tuple[tuple[SettingName, Setting], ...] = ()
    """More STACKSERVE_* settings of the service, sorted by the renderer. No secrets: they stay
    readable at the metadata address."""

    apt_mirror: Url | None = None
    apt_security_mirror: Url | None = None
    apt_proxy: Url | None = None
    pip_index_url: Url | None = None
    pip_extra_index_urls: tuple[Url, ...] = ()
    http_proxy: Url | None = None
    https_proxy: Url | None = None
    no_proxy: Plain | None = None
    ca_bundle: Certificates | None = None
    """PEM certificates that the VM must trust besides its own."""

    ssh_keys: tuple[PublicKey, ...] = ()
    """For the image's own user, besides the keypair that Nova injects."""
    swap_mb: int | None = Field(default=None, ge=0, le=65536)
    """0: none; None: a swap file if the VM has less than 2 GiB of memory."""
    extra_packages: tuple[PackageName, ...] = ()
    ready_timeout: int = Field(default=1800, ge=1, le=14400)
    """Seconds that the launcher waits from ACTIVE until Ready. The VM's own steps wait at least as
    long."""

    @property
    def certificates(self) -> list[str]:
        """Those of `ca_bundle`, one by one and without the words between them."""
        return CERTIFICATE.findall(self.ca_bundle or "")

    @model_validator(mode="after")
    def _fits_role(self) -> Self:
        if self.role is Role.WORKER and self.broker is None:
            raise ValueError("a worker needs the address of its server: broker")
        if self.role is not Role.WORKER and self.broker is not None:
            raise ValueError("a server has its own RabbitMQ: broker belongs to the role worker")
        if self.role is not Role.SERVER and self.workers_join:
            raise ValueError("workers join a server: workers_join belongs to the role server")
        return self


class UserData(Frozen):
    """What Nova gets, and what people want to know about it."""

    data: bytes
    """gzip, as cloud-init takes it. Give it to openstacksdk base64-encoded."""
    text: str
    """The cloud-config inside, to look at."""
    payload: bytes
    """The code and the model: `deliver` it to the VM once it has an address."""
    code_hash: str
    """Of the code on the client's disk; /alive reports it as `code_hash`."""
    digest: str
    """Names what the VM becomes. A user who waits longer (--timeout-ready) gets the same one."""

    @property
    def size(self) -> int:
        return len(self.data)
