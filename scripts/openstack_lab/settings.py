"""The lab's folder and addresses. Only this module reads environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path

from openstack_lab.errors import LabError

DEFAULT_FOLDER = "/var/lib/stackserve-lab"
# The first /24 is for floating IPs. The second starts with the link between machine and lab.
DEFAULT_NETWORK = "172.24.4.0/22"
PRIVATE_NETWORK = IPv4Network("10.4.0.0/24")


class Hypervisor(StrEnum):
    """The compute hosts of the cloud: one with real guests, a fake one, or both."""

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
    """What makes a lab different from others on the same machine."""

    folder: Path
    cache: Path
    network: IPv4Network

    @property
    def external(self) -> IPv4Network:
        """The network of the floating IPs."""
        return next(self.network.subnets(new_prefix=24))

    @property
    def gateway(self) -> IPv4Address:
        """The lab's address in the external network."""
        return self.external[1]

    @property
    def link(self) -> IPv4Network:
        """The network between this machine and the lab."""
        return IPv4Network((int(self.network.network_address) + 256, 30))

    @property
    def host_address(self) -> IPv4Address:
        return self.link[1]

    @property
    def api_address(self) -> IPv4Address:
        """The address of all OpenStack APIs."""
        return self.link[2]

    @property
    def interface(self) -> str:
        """The machine's interface to the lab; also the name of the lab's nftables table."""
        third_octet = int(self.network.network_address) >> 8 & 0xFF
        return f"stacklab{third_octet}"


def parse_network(text: str) -> IPv4Network:
    """Parse a private network with room for floating IPs and the link: a /22 or /23."""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise LabError(
            f"'{text}' is not an IPv4 network: {error}", "Use one like 172.24.4.0/22."
        ) from error
    if not network.is_private or network.prefixlen not in (22, 23):
        raise LabError(
            f"The lab's network must be a private /22 or /23, not {text}.",
            "Use one like 172.24.4.0/22.",
        )
    return network


def from_environment(
    folder: str | None = None,
    cache: str | None = None,
    network: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from flags, STACKSERVE_LAB_* variables and defaults, in this order."""
    home = Path(folder or environment.get("STACKSERVE_LAB") or DEFAULT_FOLDER).resolve()
    chosen_cache = cache or environment.get("STACKSERVE_LAB_CACHE")
    return Settings(
        folder=home,
        cache=Path(chosen_cache).resolve() if chosen_cache else home / "cache",
        network=parse_network(
            network or environment.get("STACKSERVE_LAB_NETWORK") or DEFAULT_NETWORK
        ),
    )


def invoking_user(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """User and group id of the user that called sudo, who needs the OpenRC files."""
    user, group = environment.get("SUDO_UID", ""), environment.get("SUDO_GID", "")
    return (int(user), int(group)) if user.isdigit() and group.isdigit() else None


def host_environment() -> dict[str, str]:
    """This machine's variables, for settings that guests need too (proxies, CA, pip)."""
    return dict(os.environ)
