"""From where ssh is open: from this machine alone, if the server sees the address it has here."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from openstack_client.cloud.own_address import route_to
from openstack_client.cloud.resources import Address, Facts, Network, Port, Route, Router
from openstack_client.plan.inventory import Inventory, mark
from openstack_client.plan.ssh_from import decide_ssh_from, target
from openstack_client.settings import merge

ANYWHERE = ("0.0.0.0/0",)
FACTS = Facts(
    networks=(
        Network("n1", "private", subnets=("s1",)),
        Network("x1", "public", external=True, mine=False),
        Network("x2", "other", external=True, mine=False),
    ),
    routers=(
        Router("r0", "elsewhere", "x2", ("s9",), ("198.51.100.1",)),
        Router("r1", "router", "x1", ("s1",), ("2001:db8::1", "203.0.113.1")),
    ),
)
NOTHING = Inventory("web")
MARK = mark("web", "00ff")


def networks(route: Route | None, **flags: Any) -> tuple[str, ...]:
    return decide_ssh_from(merge(flags, {}, None)[0], route).networks


def why(route: Route | None, **flags: Any) -> str:
    return decide_ssh_from(merge(flags, {}, None)[0], route).sentence


@pytest.mark.parametrize(
    ("own", "to", "expected"),
    [
        ("198.51.100.7", "203.0.113.1", "198.51.100.7/32"),
        ("198.51.100.7", "10.1.2.3", "198.51.100.7/32"),
        ("10.9.8.7", "10.1.2.3", "10.9.8.7/32"),
        ("192.168.1.5", "172.24.4.9", "192.168.1.5/32"),
        ("2001:db8:1:2:aaaa::7", "2001:db8:9::1", "2001:db8:1:2::/64"),
    ],
    ids=["public", "public to private", "one private network", "two private networks", "IPv6"],
)
def test_only_this_machine_if_its_address_is_known(own: str, to: str, expected: str) -> None:
    assert networks(Route(own, to)) == (expected,)
    assert to in why(Route(own, to)) and expected in why(Route(own, to))


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (Route("10.0.2.15", "203.0.113.1"), "private address 10.0.2.15, so it is behind NAT"),
        (Route("100.64.0.9", "203.0.113.1"), "behind NAT"),
        (Route("fd00::2", "2001:db8::1"), "behind NAT"),
        (Route("127.0.0.1", "127.0.0.1"), "forwards"),
        (Route("fe80::1", "fe80::2"), "forwards"),
        (Route("10.0.0.2", "10.0.0.1", near=False), "not known yet"),
        (None, "no route"),
    ],
    ids=["NAT", "the carrier's NAT", "IPv6", "tunnel", "link", "only the API is near", "no route"],
)
def test_as_open_as_the_service_if_it_cannot_be_known(route: Route | None, reason: str) -> None:
    assert networks(route) == ANYWHERE
    assert networks(route, allow_from="192.0.2.0/24") == ("192.0.2.0/24",)
    assert reason in why(route) and "restrict it with --ssh-from" in why(route)


def test_a_public_address_is_right_whatever_the_route_leads_to() -> None:
    assert networks(Route("198.51.100.7", "203.0.113.1", near=False)) == ("198.51.100.7/32",)


def test_behind_a_jump_host_the_own_address_says_nothing() -> None:
    route = Route("198.51.100.7", "203.0.113.1")
    assert networks(route, ssh_via="me@gate") == ANYWHERE
    assert "jump host me@gate" in why(route, ssh_via="me@gate")


def test_what_is_requested_wins() -> None:
    for route in (None, Route("10.0.2.15", "203.0.113.1"), Route("198.51.100.7", "203.0.113.1")):
        flags = {"ssh_from": "192.0.2.0/24,2001:db8::/32", "ssh_via": "gate"}
        assert networks(route, **flags) == ("192.0.2.0/24", "2001:db8::/32")


def aim(
    mine: Inventory = NOTHING, facts: Facts = FACTS, floating: bool = True, **flags: Any
) -> str:
    return target(merge(flags, {}, None)[0], facts, mine, floating=floating)


def test_a_new_server_is_beside_its_router() -> None:
    assert aim() == "203.0.113.1"
    assert aim(external_network="other") == "198.51.100.1"


def test_or_beside_another_floating_ip_of_the_project() -> None:
    hidden = tuple(dataclasses.replace(router, addresses=()) for router in FACTS.routers)
    facts = dataclasses.replace(
        FACTS, routers=hidden, addresses=(Address("a", "203.0.113.8", network="x1"),)
    )
    assert aim(facts=facts) == "203.0.113.8"
    assert aim(facts=dataclasses.replace(facts, addresses=())) == ""


def test_an_address_that_exists_is_the_best() -> None:
    mine = Inventory("web", addresses=(Address("a", "203.0.113.9", MARK, "p", "x1"),))
    assert aim(mine) == "203.0.113.9"
    assert aim(mine, floating_ip="198.51.100.3") == "198.51.100.3"


def test_without_a_floating_ip_the_server_is_in_its_own_network() -> None:
    beside = Port("p0", "x", network="n1", address="10.0.0.4")
    assert aim(floating=False) == ""
    assert aim(facts=dataclasses.replace(FACTS, ports=(beside,)), floating=False) == "10.0.0.4"
    own = Port("p1", "stackserve-web", MARK, "n1", "10.0.0.5", "s1")
    assert aim(Inventory("web", ports=(own,)), floating=False) == "10.0.0.5"


def test_the_kernel_tells_the_own_address() -> None:
    assert route_to("127.0.0.1") == Route("127.0.0.1", "127.0.0.1")
    assert route_to("localhost") == Route("127.0.0.1", "127.0.0.1")
    assert route_to("no-such-host.invalid") is None
