"""Decide from where ssh is open: by default only from this machine, if its address is known. Pure.

The address of the route to the server is what the server sees, unless something on the way
translates it (NAT, a VPN, a jump host). A private address does not reach a public one untranslated:
this is noticed. What is not, such as a VPN to a private network that translates, needs --ssh-from.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from openstack_client.cloud.resources import Facts, Port, Route
from openstack_client.plan import choices
from openstack_client.plan.inventory import Inventory
from openstack_client.settings import Settings

# Addresses that routers of the internet do not forward: a NAT must replace them. The last two are
# those of carriers' NAT and of IPv6.
BEHIND_NAT = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
# IPv6 hosts change their address every day (RFC 8981), but stay in their network.
PREFIX = {4: 32, 6: 64}
RESTRICT = "restrict it with --ssh-from"


@dataclass(frozen=True)
class SshFrom:
    """The networks that may connect by ssh, and why these."""

    networks: tuple[str, ...]
    why: str

    @property
    def sentence(self) -> str:
        return f"ssh is open to {', '.join(self.networks)}: {self.why}."


def target(settings: Settings, facts: Facts, mine: Inventory, *, floating: bool) -> str:
    """The address that the route should lead to: the server's, or one beside it. Empty if none.

    A new server has no address yet, but its router has one on the same external network.
    """
    if not floating:
        near = mine.part("").ports or _ports_beside(settings, facts)
        return next((port.address for port in near if port.address), "")
    if settings.floating_ip != "auto":
        return settings.floating_ip
    if mine.addresses:
        return mine.addresses[0].address
    inner = choices.network(settings.network, facts).value
    wanted = settings.external_network
    outer = choices.external_network(wanted, "auto", facts, inner).value
    if outer is None:
        return ""
    routers = [router for router in facts.routers if router.external_network == outer.id]
    beside = [address for router in routers for address in router.addresses if "." in address]
    beside += [entry.address for entry in facts.addresses if entry.network == outer.id]
    return next(iter(beside), "")


def decide_ssh_from(settings: Settings, route: Route | None) -> SshFrom:
    """The networks of --ssh-from, or this machine's address, or else what the service is open to.

    Where the address cannot be known, a rule for a wrong one would lock its owner out.
    """
    if settings.ssh_from is not None:
        return SshFrom(tuple(settings.ssh_from), "as requested with --ssh-from")
    doubt = _doubt(settings.ssh_via, route)
    if doubt or route is None:
        return SshFrom(tuple(settings.allow_from), f"{doubt}; {RESTRICT}")
    own = ipaddress.ip_address(route.own)
    network = ipaddress.ip_network((route.own, PREFIX[own.version]), strict=False)
    what = "the address" if network.num_addresses == 1 else "the network"
    way = f"{what} of this machine on its way to {route.to}; --ssh-from names others"
    return SshFrom((str(network),), way)


def _ports_beside(settings: Settings, facts: Facts) -> list[Port]:
    network = choices.network(settings.network, facts).value
    return [port for port in facts.ports if network and port.network == network.id]


def _doubt(jump_host: str | None, route: Route | None) -> str:
    """Why the server may see another address than the route's; empty if it sees that one."""
    if jump_host:
        return f"connections come from the jump host {jump_host}, whose address there is not known"
    if route is None:
        return "this machine has no route to the cloud by which to tell its address"
    own = ipaddress.ip_address(route.own)
    if own.is_loopback or own.is_link_local:
        return f"{route.own} is not an address that the server sees; something forwards to it"
    if _is_private(route.own) and not _is_private(route.to):
        return (
            f"this machine has the private address {route.own}, so it is behind NAT and the server "
            "sees another one"
        )
    if _is_private(route.own) and not route.near:
        return (
            f"this machine has the private address {route.own}, and the way to the server is not "
            "known yet"
        )
    return ""


def _is_private(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in BEHIND_NAT if network.version == parsed.version)
