"""The input and output of rendering user data.

render.py turns a `UserDataContext` into a `UserData`. Both are frozen, and nothing else is
read: the same context gives the same bytes, at any time and on any machine.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from openstack_client.plain import plain
from openstack_client.roles import Role, ours
from openstack_client.roles.model import PackageName

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
HOST_LABELS = re.compile(r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)(\.(?!-)[a-zA-Z0-9-]{1,63}(?<!-))*")


def _without_password(value: str) -> str:
    """Refuse passwords: user data stays readable at the VM's metadata address."""
    if re.search(r"://[^/]*@", value):
        raise ValueError(
            "must not contain a user name or password: user data stays readable on the VM"
        )
    return value


def _url(value: str) -> str:
    if not re.match(r"https?://[^/]", value):
        raise ValueError("must be a URL that starts with http:// or https://")
    return _without_password(plain(value))


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
        raise ValueError("must contain complete PEM certificates (-----BEGIN CERTIFICATE----- ...)")
    if "PRIVATE KEY" in value:
        raise ValueError("contains a private key: provide only certificates")
    return value


def _public_key(value: str) -> str:
    if not re.fullmatch(r"[^\n]*\b(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/=]+[^\n]*", value):
        raise ValueError("must be a public key on one line, as in ~/.ssh/id_ed25519.pub")
    return value


Plain = Annotated[str, AfterValidator(plain)]
Setting = Annotated[str, AfterValidator(plain), AfterValidator(_without_password)]
SettingName = Annotated[str, Field(pattern=r"^STACKSERVE_[A-Z_]+$")]
Url = Annotated[str, AfterValidator(_url)]
Host = Annotated[str, AfterValidator(_host)]
Certificates = Annotated[str, AfterValidator(_certificates)]
PublicKey = Annotated[str, AfterValidator(_public_key)]
RoleOrName = Annotated[Role, BeforeValidator(lambda v: ours(v) if isinstance(v, str) else v)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CarriedFile(Frozen):
    """A file to deliver to the VM: its relative path and its contents."""

    path: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]*(/[A-Za-z0-9_][A-Za-z0-9_.@+-]*)*$")
    content: bytes


class UserDataContext(Frozen):
    """Everything that determines a VM's user data."""

    role: RoleOrName = Field(default_factory=lambda: ours("server"))
    """Also accepts the name of one of our roles."""
    name: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")
    code: tuple[CarriedFile, ...] = ()
    """The production_server package, from `read_code`, if the role needs it. Paths start with its
    name."""
    model: tuple[CarriedFile, ...] | None = None
    """The model, from `read_model`; None for the shipped one."""

    port: int = Field(default=5100, ge=1, le=65535)
    image_tag: Plain | None = None
    """The image of its containers, to pull; None to build it there."""
    workers: int | None = Field(default=None, ge=1, le=64)
    """Number of worker processes; None to choose by the VM's cores."""
    domain: Host | None = None
    """Its name, for which a public authority issues a certificate."""
    acme_server: Url | None = None
    """That authority's directory; None for the service's default."""
    settings: tuple[tuple[SettingName, Setting], ...] = ()
    """Additional STACKSERVE_* settings of the service. No secrets: they stay readable at the
    metadata address."""

    apt_mirror: Url | None = None
    apt_security_mirror: Url | None = None
    apt_proxy: Url | None = None
    pip_index_url: Url | None = None
    pip_extra_index_urls: tuple[Url, ...] = ()
    http_proxy: Url | None = None
    https_proxy: Url | None = None
    no_proxy: Plain | None = None
    ca_bundle: Certificates | None = None
    """Additional PEM certificates that the VM trusts."""

    ssh_keys: tuple[PublicKey, ...] = ()
    """Additional keys for the image's user, besides Nova's keypair."""
    swap_mb: int | None = Field(default=None, ge=0, le=65536)
    """Size of the swap file; 0 for none, None for one if the VM has less than 2 GiB of memory."""
    extra_packages: tuple[PackageName, ...] = ()
    ready_timeout: int = Field(default=1800, ge=1, le=14400)
    """Seconds that the launcher waits from ACTIVE to Ready. The VM waits at least as long."""

    @property
    def certificates(self) -> list[str]:
        """The certificates in `ca_bundle`, without the text between them."""
        return CERTIFICATE.findall(self.ca_bundle or "")

    @model_validator(mode="after")
    def _fits_role(self) -> Self:
        role = self.role
        if role.code and not self.code:
            raise ValueError(f"code is required for the role {role.name}")
        return self


class UserData(Frozen):
    """The rendered user data, the payload to deliver, and their hashes."""

    data: bytes
    """The compressed user data. openstacksdk expects it base64-encoded."""
    text: str
    """The uncompressed cloud-config."""
    payload: bytes
    """The packed code and model, to be delivered over ssh."""
    code_hash: str
    """The hash of the local code; /alive reports it as `code_hash`."""
    digest: str
    """Identifies the VM's configuration. Does not depend on --timeout-ready."""

    @property
    def size(self) -> int:
        return len(self.data)
