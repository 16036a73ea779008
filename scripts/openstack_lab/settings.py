"""Where the lab lives and which addresses it takes; the only reader of the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path

from openstack_lab.errors import LabError

DEFAULT_FOLDER = "/var/lib/stackserve-lab"
# Floating IPs take the first /24, the link between the machine and the lab the start of the second.
DEFAULT_NETWORK = "172.24.4.0/22"
PRIVATE_NETWORK = IPv4Network("10.4.0.0/24")


class Hypervisor(StrEnum):
    """Which hosts the cloud has: real guests, Nova's pretended ones, or one of each."""

    QEMU = "qemu"
    FAKE = "fake"
    BOTH = "both"

    @property
    def real(self) -> bool:
        return self is not Hypervisor.FAKE

    @property
    def fake(self) -> bool:
        return self is not Hypervisor.QEMU


@dataclass(frozen=True)
class Settings:
    """What distinguishes one lab from another on the same machine."""

    folder: Path
    cache: Path
    network: IPv4Network

    @property
    def external(self) -> IPv4Network:
        """The network of the floating IPs."""
        return next(self.network.subnets(new_prefix=24))

    @property
    def gateway(self) -> IPv4Address:
        """The lab's own end of the external network."""
        return self.external[1]

    @property
    def link(self) -> IPv4Network:
        """The wire between the machine and the lab."""
        return IPv4Network((int(self.network.network_address) + 256, 30))

    @property
    def host_address(self) -> IPv4Address:
        return self.link[1]

    @property
    def api_address(self) -> IPv4Address:
        """Where every API of the cloud listens."""
        return self.link[2]

    @property
    def interface(self) -> str:
        """The machine's end of the wire; also the name of the lab's packet-filter table."""
        third_octet = int(self.network.network_address) >> 8 & 0xFF
        return f"stacklab{third_octet}"


def parse_network(text: str) -> IPv4Network:
    """A private network with room for the floating IPs and the link: /22 or /23."""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as wrong:
        raise LabError(
            f"'{text}' is no IPv4 network: {wrong}", "Give one like 172.24.4.0/22."
        ) from wrong
    if not network.is_private or network.prefixlen not in (22, 23):
        raise LabError(
            f"The lab's network {text} must be private and a /22 or a /23.",
            "Give one like 172.24.4.0/22.",
        )
    return network


def from_environment(
    folder: str | None = None,
    cache: str | None = None,
    network: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Flags first, then STACKSERVE_LAB_* variables, then the defaults."""
    home = Path(folder or environment.get("STACKSERVE_LAB") or DEFAULT_FOLDER).resolve()
    kept = cache or environment.get("STACKSERVE_LAB_CACHE")
    return Settings(
        folder=home,
        cache=Path(kept).resolve() if kept else home / "cache",
        network=parse_network(
            network or environment.get("STACKSERVE_LAB_NETWORK") or DEFAULT_NETWORK
        ),
    )


def invoking_user(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """User and group of who called sudo: the one who will source the OpenRC file."""
    user, group = environment.get("SUDO_UID", ""), environment.get("SUDO_GID", "")
    return (int(user), int(group)) if user.isdigit() and group.isdigit() else None


def host_environment() -> dict[str, str]:
    """The machine's variables, for what a guest should be offered too (proxies, CA, pip)."""
    return dict(os.environ)
