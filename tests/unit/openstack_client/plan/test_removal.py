"""What a server may do to remove its own deployment, and what it is told to do."""

from __future__ import annotations

import dataclasses
import re

import pytest

from openstack_client.cloud.resources import Address, Group, Keypair, Port, Server, ServerGroup
from openstack_client.plan import inventory
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.removal import Endpoints, Removal

MARK = inventory.mark("course", "00ff")
FRONT = Server("s1", "stackserve-course", "ACTIVE")
MINE = Inventory(
    "course",
    (FRONT,),
    (Group("g1", "stackserve-course", MARK),),
    (Port("p1", "stackserve-course", MARK, server="s1"),),
    (Address("a1", "172.24.4.9", MARK, "p1"),),
    (Keypair("stackserve-course-01234567", "ssh-ed25519 A"),),
)
PLAIN = Endpoints.of("http://c:5000/v3", "http://c:8774/v2.1", "http://c:9696")
WORKER = Server("s2", "stackserve-course-2", "ACTIVE")
WITH_WORKER = Inventory(
    "course",
    (WORKER, FRONT),
    MINE.groups,
    (*MINE.ports, Port("p2", "stackserve-course-2", MARK, server="s2")),
    MINE.addresses,
    MINE.keypairs,
    (ServerGroup("sg1", "stackserve-course", members=("s2",)),),
)


def rules(removal: Removal, endpoints: Endpoints = PLAIN) -> set[tuple[str, str]]:
    return {(rule["method"], rule["path"]) for rule in removal.access_rules(endpoints)}


def test_the_rules_name_every_resource_and_no_collection() -> None:
    assert rules(Removal(FRONT, MINE, "d1")) == {
        ("GET", "/v2.1/servers/s1"),
        ("DELETE", "/v2.1/servers/s1"),
        ("DELETE", "/v2.1/os-keypairs/stackserve-course-01234567"),
        ("PUT", "/v2.0/ports/p1"),
        ("DELETE", "/v2.0/ports/p1"),
        ("PUT", "/v2.0/floatingips/a1"),
        ("DELETE", "/v2.0/floatingips/a1"),
        ("DELETE", "/v2.0/security-groups/g1"),
    }


def test_no_rule_has_a_wildcard() -> None:
    for rule in Removal(FRONT, WITH_WORKER, "d1").access_rules(PLAIN):
        assert re.fullmatch(r"/v2\.[01]/[a-z-]+/[a-z0-9-]+", rule["path"])
        assert rule["service"] in {"compute", "network"}


def test_other_servers_can_be_deleted_with_their_ports() -> None:
    removal = Removal(FRONT, WITH_WORKER, "d1")
    added = rules(removal) - rules(Removal(FRONT, MINE, "d1"))
    assert added == {
        ("GET", "/v2.1/servers/s2"),
        ("DELETE", "/v2.1/servers/s2"),
        ("DELETE", "/v2.0/ports/p2"),
        ("DELETE", "/v2.1/os-server-groups/sg1"),
    }
    told = removal.configuration(PLAIN)
    assert (told["others"], told["other_ports"]) == (["s2"], ["p2"])
    assert [port["id"] for port in told["ports"]] == ["p1"]


def test_without_a_shelter_the_group_stays() -> None:
    removal = Removal(FRONT, MINE)
    groups = [rule for rule in rules(removal) if "security-groups" in rule[1]]
    assert groups == [("PUT", "/v2.0/security-groups/g1")]
    told = removal.configuration(PLAIN)
    assert told["groups"] == [] and inventory.is_expiring(told["left"][0]["mark"])


@pytest.mark.parametrize(
    ("endpoint", "paths"),
    [
        ("https://c/compute/v2.1", {"/compute/v2.1/servers/s1", "/v2.1/servers/s1"}),
        ("https://c:8774/v2.1/abcd", {"/v2.1/abcd/servers/s1"}),
        ("https://c:8774/v2.1/", {"/v2.1/servers/s1"}),
    ],
)
def test_the_paths_are_those_that_the_api_sees(endpoint: str, paths: set[str]) -> None:
    endpoints = Endpoints.of("https://c/identity", endpoint, "https://c:9696/v2.0/")
    found = rules(Removal(FRONT, Inventory("course", (FRONT,))), endpoints)
    assert {path for _, path in found} == paths
    assert endpoints.identity == "https://c/identity/v3"
    assert endpoints.network == "https://c:9696/v2.0"


def test_what_may_be_left_behind_is_marked_once() -> None:
    told = Removal(FRONT, MINE, "d1").configuration(PLAIN)
    marks = [told["ports"][0]["mark"], told["addresses"][0]["mark"]]
    assert all(inventory.is_expiring(mark) for mark in marks)
    again = Inventory("course", (FRONT,), ports=(Port("p1", "x", marks[0]),))
    assert Removal(FRONT, again).configuration(PLAIN)["ports"][0]["mark"] == marks[0]


def test_every_request_of_the_program_is_allowed() -> None:
    """Reads the paths from the program, to find those that the rules forgot."""
    from openstack_client.places import TEMPLATES

    text = (TEMPLATES / "removal" / "remove.py").read_text()
    sent = {path.strip("/") for path in re.findall(r"(/[a-z-]+)/\{", text)}
    allowed = {path.split("/")[2] for _, path in rules(Removal(FRONT, WITH_WORKER, "d1"))}
    assert sent == allowed


def test_a_server_group_that_others_use_stays() -> None:
    shared = ServerGroup("sg1", "stackserve-course", members=("s2", "someone"))
    removal = Removal(FRONT, dataclasses.replace(WITH_WORKER, server_groups=(shared,)), "d1")
    assert removal.server_groups == ()
    assert not [path for _, path in rules(removal) if "server-groups" in path]
