"""The plan: what is made, found, changed or replaced, and every problem at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import (
    Address,
    Facts,
    Flavor,
    Group,
    Image,
    Network,
    Port,
    Quota,
    Router,
    Rule,
    Server,
)
from openstack_client.errors import Problem
from openstack_client.plan import inventory
from openstack_client.plan.decide import decide, needs
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.keypair import KeyPlan
from openstack_client.plan.model import Action, Parcel, Plan
from openstack_client.plan.server import SLEEPING
from openstack_client.settings import Settings, merge

ME = Identity("demo", "u1", "demo", "p1")
KEY = KeyPlan("stackserve-stackserve", make=True, public="ssh-ed25519 A", why="a new one")
PARCEL = Parcel(b"data", "c0de", "d1ge57", b"payload")
MARK = inventory.mark("stackserve", "00ff")
FACTS = Facts(
    images=(Image("d", "Debian 12", created="1"),),
    flavors=(Flavor("f", "small", 2, 2048, 10),),
    networks=(
        Network("n1", "private", subnets=("s1",)),
        Network("x1", "public", external=True, mine=False),
    ),
    routers=(Router("r1", "router", "x1", ("s1",)),),
    zones=("nova",),
    quotas={"instances": Quota(10, 0), "cores": Quota(20, 0), "ram": Quota(51200, 0)},
    services=("compute", "identity", "image", "network"),
    roles=("member", "reader"),
)
PORT = Port("p1", "stackserve-stackserve", MARK, "n1", "10.0.0.5", "s1")
GROUP = Group(
    "g1", "stackserve-stackserve", MARK, (Rule(5100, "0.0.0.0/0", "1"), Rule(22, "0.0.0.0/0", "2"))
)
ADDRESS = Address("a1", "172.24.4.9", MARK, "p1", "x1")


def server(status: str = "ACTIVE", fault: str = "", data: str = PARCEL.digest) -> Server:
    told = inventory.metadata("stackserve", run="00ff", code="c0de", data=data, user="debian")
    return Server("s1", "stackserve-stackserve", status, fault=fault, metadata=told)


def whole(**changes: Any) -> Inventory:
    found = Inventory("stackserve", (server(),), (GROUP,), (PORT,), (ADDRESS,), ())
    return dataclasses.replace(found, **changes)


def make(
    mine: Inventory | None = None,
    *,
    facts: Facts = FACTS,
    key: KeyPlan | Problem = KEY,
    parcel: Parcel | list[Problem] = PARCEL,
    identity: Identity = ME,
    recreate: bool = False,
    **flags: Any,
) -> Plan:
    settings: Settings = merge(flags, {}, None)[0]
    return decide(
        settings,
        facts,
        mine or Inventory("stackserve"),
        identity=identity,
        key=key,
        parcel=parcel,
        recreate=recreate,
    )


def actions(plan: Plan) -> dict[str, str]:
    return {item.kind: str(item.action) for item in plan.items}


def test_from_nothing_everything_is_made() -> None:
    plan = make()
    assert plan.problems == []
    assert set(actions(plan).values()) == {"make"}
    assert set(actions(plan)) == {"keypair", "security group", "port", "floating IP", "server"}


def test_a_second_run_finds_everything() -> None:
    plan = make(whole())
    assert plan.problems == [] and plan.warnings == []
    assert set(actions(plan).values()) == {"found"}
    assert needs(plan, merge({}, {}, None)[0]) == {
        "floating_ips": 0,
        "security_groups": 0,
        "security_group_rules": 0,
        "ports": 0,
        "keypairs": 0,
    }


def test_an_unfinished_run_is_finished() -> None:
    plan = make(whole(servers=(), addresses=()))
    assert plan.problems == []
    found = actions(plan)
    assert found["security group"] == found["port"] == "found"
    assert found["server"] == found["floating IP"] == "make"


def test_a_server_in_error_is_replaced_and_its_fault_told() -> None:
    plan = make(whole(servers=(server("ERROR", "No valid host was found."),)))
    assert plan.server_action is Action.REPLACE
    item = next(item for item in plan.items if item.kind == "server")
    assert "was ERROR (No valid host was found.)" in item.detail


def test_a_stopped_server_is_started() -> None:
    assert make(whole(servers=(server("SHUTOFF"),))).server_action is Action.START


@pytest.mark.parametrize(("status", "verb"), sorted(SLEEPING.items()))
def test_a_sleeping_server_is_told_how_to_wake(status: str, verb: str) -> None:
    plan = make(whole(servers=(server(status),)))
    assert f"openstack server {verb} s1" in plan.problems[0].remedy
    assert make(whole(servers=(server(status),)), recreate=True).problems == []


def test_other_code_is_a_warning_and_recreate_replaces() -> None:
    mine = whole(servers=(server(data="old"),))
    plan = make(mine)
    assert plan.server_action is Action.FOUND and "--recreate" in plan.warnings[0]
    assert make(mine, recreate=True).server_action is Action.REPLACE


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"flavor": "small", "image": "Debian 12"}, ""),
        ({"flavor": "big"}, "was made with flavor 'small', not 'big'. --recreate"),
        ({"image": "Ubuntu 24.04"}, "was made with another image than 'Ubuntu 24.04'"),
        ({"flavor": "gone", "image": "gone"}, ""),
    ],
)
def test_what_a_server_has_and_was_not_asked_for_is_told(flags: dict[str, Any], words: str) -> None:
    facts = dataclasses.replace(
        FACTS,
        images=(*FACTS.images, Image("u", "Ubuntu 24.04")),
        flavors=(*FACTS.flavors, Flavor("f2", "big", 4, 8192, 20)),
    )
    there = dataclasses.replace(server(), flavor="small", image="d")
    plan = make(whole(servers=(there,)), facts=facts, **flags)
    assert plan.problems == [] and plan.server_action is Action.FOUND
    told = [warning for warning in plan.warnings if "was made with" in warning]
    assert len(told) == bool(words) and words in "".join(told)


def test_a_found_server_does_not_need_its_image_any_more() -> None:
    facts = dataclasses.replace(FACTS, images=(), flavors=())
    assert make(whole(), facts=facts).problems == []


def test_changed_openings_are_a_change() -> None:
    plan = make(whole(), allow_from="10.0.0.0/8")
    assert actions(plan)["security group"] == "change"
    assert {rule.cidr for rule in plan.add_rules} == {"10.0.0.0/8"}
    assert {rule.id for rule in plan.drop_rules} == {"1", "2"}


def test_a_given_security_group_is_left_as_it_is() -> None:
    facts = dataclasses.replace(FACTS, groups=(Group("g9", "mine"),))
    plan = make(facts=facts, security_group="mine")
    assert plan.group_given and plan.add_rules == [] and plan.drop_rules == []


def test_duplicates_are_told_not_guessed() -> None:
    twin = dataclasses.replace(server(), id="s2")
    plan = make(whole(servers=(server(), twin)))
    assert "has 2: s1, s2" in plan.problems[0].what


def test_a_server_that_lost_its_port_is_made_anew() -> None:
    plan = make(whole(ports=()))
    assert "--recreate" in next(p.remedy for p in plan.problems if p.subject == "port")
    anew = make(whole(ports=()), recreate=True)
    assert anew.problems == [] and actions(anew)["port"] == "make"


def test_a_given_floating_ip() -> None:
    free, used = Address("a8", "172.24.4.8"), Address("a9", "172.24.4.7", port="other")
    facts = dataclasses.replace(FACTS, addresses=(free, used))
    plan = make(facts=facts, floating_ip="172.24.4.8")
    assert plan.problems == [] and plan.address is free
    busy = make(facts=facts, floating_ip="172.24.4.7").problems[0]
    assert "in use by another port" in busy.what and "172.24.4.8" in busy.remedy
    none = make(facts=facts, floating_ip="172.24.4.77").problems[0]
    assert "Did you mean '172.24.4.7'?" in none.remedy or "There is:" in none.remedy


def test_no_floating_ip() -> None:
    plan = make(floating_ip="none")
    assert plan.problems == [] and "floating IP" not in actions(plan)


def test_the_address_of_an_earlier_server_is_moved() -> None:
    loose = dataclasses.replace(ADDRESS, port=None)
    assert actions(make(whole(addresses=(loose,))))["floating IP"] == "change"


def test_all_problems_at_once() -> None:
    quotas = {"instances": Quota(1, 1), "floating_ips": Quota(0, 0), "security_groups": Quota(1, 1)}
    facts = dataclasses.replace(FACTS, quotas=quotas, routers=())
    plan = make(
        facts=facts,
        key=Problem("keypair", "exists with another key."),
        parcel=[Problem("user data", "too large.")],
        image="nope",
        flavor="nope",
        availability_zone="nope",
    )
    subjects = [problem.subject for problem in plan.problems]
    assert subjects == [
        "image",
        "flavor",
        "availability zone",
        "user data",
        "keypair",
        "network",
        "quota of floating IPs",
        "quota of security groups",
        "quota of servers",
    ]


def test_a_reader_may_not_deploy() -> None:
    plan = make(facts=dataclasses.replace(FACTS, roles=("reader",)))
    assert "may only look in project 'demo'" in plan.problems[0].what


def test_what_a_cloud_does_not_tell_is_said_and_no_problem() -> None:
    facts = dataclasses.replace(FACTS, roles=None, unknown=("the list of your roles",))
    plan = make(facts=facts)
    assert plan.problems == []
    assert "the list of your roles is not told by this cloud, so not checked" in plan.warnings


@pytest.mark.parametrize(("maker", "warned"), [("u1", False), ("u2", True), ("", False)])
def test_the_key_of_a_server_is_its_makers(maker: str, warned: bool) -> None:
    mine = whole(servers=(dataclasses.replace(server(), user=maker),))
    plan = make(mine, key=Problem("keypair", "exists with another key."))
    assert plan.problems == []
    assert any("another user" in words for words in plan.warnings) is warned
    assert not any("another user" in words for words in make(mine, recreate=True).warnings)


def test_a_deprecation_in_the_user_data_is_a_warning() -> None:
    parcel = dataclasses.replace(PARCEL, warnings=("cloud-init schema: deprecated",))
    plan = make(parcel=parcel)
    assert plan.problems == [] and "cloud-init schema: deprecated" in plan.warnings


def test_a_cloud_without_networks() -> None:
    plan = make(facts=dataclasses.replace(FACTS, services=("compute", "image")))
    assert plan.problems[0].what == "it offers no network service."


def test_a_volume_needs_a_volume_service() -> None:
    assert "offers no volumes" in make(volume_size=20).problems[0].what
    facts = dataclasses.replace(FACTS, services=(*FACTS.services, "volumev3"))
    assert make(facts=facts, volume_size=20).problems == []


def test_impatience_is_warned_about() -> None:
    assert "Nova itself waits 300 s" in make(timeout_build=100).warnings[0]


def test_the_same_facts_give_the_same_plan() -> None:
    assert make() == make()
