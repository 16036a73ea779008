"""The plan: what is created, found, changed or replaced, and all problems at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from rich.console import Console

from openstack_client.cli.tables import plan_json, show_plan
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
KEY = KeyPlan("stackserve-stackserve", create=True, public="ssh-ed25519 A", why="new")
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


def server(
    status: str = "ACTIVE", fault: str = "", data: str = PARCEL.digest, code: str = "c0de"
) -> Server:
    metadata = inventory.metadata("stackserve", run="00ff", code=code, data=data, user="debian")
    return Server("s1", "stackserve-stackserve", status, fault=fault, metadata=metadata)


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


def test_a_first_run_creates_everything() -> None:
    plan = make()
    assert plan.problems == []
    assert set(actions(plan).values()) == {"create"}
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


def test_an_unfinished_run_is_resumed() -> None:
    plan = make(whole(servers=(), addresses=()))
    assert plan.problems == []
    found = actions(plan)
    assert found["security group"] == found["port"] == "found"
    assert found["server"] == found["floating IP"] == "create"


def test_a_server_in_error_is_replaced_and_its_fault_shown() -> None:
    plan = make(whole(servers=(server("ERROR", "No valid host was found."),)))
    assert plan.front.action is Action.REPLACE
    item = next(item for item in plan.items if item.kind == "server")
    assert "was ERROR (No valid host was found.)" in item.detail


@pytest.mark.parametrize(("status", "recreate"), [("ERROR", False), ("ACTIVE", True)])
def test_replacing_a_server_names_what_is_lost(status: str, recreate: bool) -> None:
    plan = make(whole(servers=(server(status),)), recreate=recreate)
    assert plan.front.action is Action.REPLACE
    assert "deletes all jobs of deployment 'stackserve'" in plan.loss
    assert ("backup stackserve FILE" in plan.loss) is (status == "ACTIVE")
    assert plan_json(plan, "test")["loss"] == plan.loss
    console = Console(width=1000)
    with console.capture() as shown:
        show_plan(console, plan)
    assert f"Warning: {plan.loss}" in shown.get()


def test_a_server_that_never_ran_has_nothing_to_lose() -> None:
    failed = dataclasses.replace(server("ERROR", "No valid host was found."), never_ran=True)
    plan = make(whole(servers=(failed,)))
    assert plan.front.action is Action.REPLACE and plan.loss == ""


def test_nothing_is_lost_without_a_replacement() -> None:
    assert make().loss == make(whole()).loss == make(recreate=True).loss == ""


def test_a_stopped_server_is_started() -> None:
    assert make(whole(servers=(server("SHUTOFF"),))).front.action is Action.START


@pytest.mark.parametrize(("status", "verb"), sorted(SLEEPING.items()))
def test_the_remedy_for_a_paused_server_is_the_command_to_resume_it(status: str, verb: str) -> None:
    plan = make(whole(servers=(server(status),)))
    assert f"openstack server {verb} s1" in plan.problems[0].remedy
    assert make(whole(servers=(server(status),)), recreate=True).problems == []


@pytest.mark.parametrize(
    ("made_of", "words"),
    [
        ({"code": "old"}, "different code (old, not c0de as on this machine)"),
        ({"data": "old"}, "different settings"),
        ({"code": "old", "data": "old"}, "different code (old, not c0de as on this machine)"),
    ],
)
def test_other_code_is_a_warning_and_recreate_replaces(made_of: dict[str, str], words: str) -> None:
    mine = whole(servers=(server(**made_of),))
    plan = make(mine)
    assert plan.front.action is Action.FOUND and plan.front.keeps_server
    assert f"was created with {words}, and deploy does not change that" in plan.warnings[0]
    assert "--recreate" in plan.warnings[0]
    assert make(mine, recreate=True).front.action is Action.REPLACE


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"flavor": "small", "image": "Debian 12"}, ""),
        ({"flavor": "big"}, "was created with flavor 'small', not 'big', and deploy"),
        ({"image": "Ubuntu 24.04"}, "was created with an image other than 'Ubuntu 24.04'"),
        ({"flavor": "gone", "image": "gone"}, ""),
    ],
)
def test_a_server_that_differs_from_the_request_is_a_warning(
    flags: dict[str, Any], words: str
) -> None:
    facts = dataclasses.replace(
        FACTS,
        images=(*FACTS.images, Image("u", "Ubuntu 24.04")),
        flavors=(*FACTS.flavors, Flavor("f2", "big", 4, 8192, 20)),
    )
    there = dataclasses.replace(server(), flavor="small", image="d")
    plan = make(whole(servers=(there,)), facts=facts, **flags)
    assert plan.problems == [] and plan.front.action is Action.FOUND
    found = [warning for warning in plan.warnings if "was created with" in warning]
    assert len(found) == bool(words) and words in "".join(found)


def test_an_existing_server_does_not_need_its_image() -> None:
    facts = dataclasses.replace(FACTS, images=(), flavors=())
    assert make(whole(), facts=facts).problems == []


def test_changed_rules_are_a_change() -> None:
    plan = make(whole(), allow_from="10.0.0.0/8")
    assert actions(plan)["security group"] == "change"
    assert {rule.cidr for rule in plan.front.group.add_rules} == {"10.0.0.0/8"}
    assert {rule.id for rule in plan.front.group.drop_rules} == {"1", "2"}


def test_a_given_security_group_is_not_changed() -> None:
    facts = dataclasses.replace(FACTS, groups=(Group("g9", "mine"),))
    plan = make(facts=facts, security_group="mine")
    group = plan.front.group
    assert group.given and group.add_rules == [] and group.drop_rules == []


def test_duplicates_are_a_problem() -> None:
    twin = dataclasses.replace(server(), id="s2")
    plan = make(whole(servers=(server(), twin)))
    assert "has 2: s1, s2" in plan.problems[0].what


def test_a_server_without_its_port_must_be_recreated() -> None:
    plan = make(whole(ports=()))
    assert "--recreate" in next(p.remedy for p in plan.problems if p.subject == "port")
    again = make(whole(ports=()), recreate=True)
    assert again.problems == [] and actions(again)["port"] == "create"


def test_a_given_floating_ip() -> None:
    free, used = Address("a8", "172.24.4.8"), Address("a9", "172.24.4.7", port="other")
    facts = dataclasses.replace(FACTS, addresses=(free, used))
    plan = make(facts=facts, floating_ip="172.24.4.8")
    assert plan.problems == [] and plan.front.address is free
    busy = make(facts=facts, floating_ip="172.24.4.7").problems[0]
    assert "in use by another port" in busy.what and "172.24.4.8" in busy.remedy
    none = make(facts=facts, floating_ip="172.24.4.77").problems[0]
    assert "Did you mean '172.24.4.7'?" in none.remedy or "Available:" in none.remedy


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
        key=Problem("keypair", "exists with a different key."),
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


def test_a_reader_cannot_deploy() -> None:
    plan = make(facts=dataclasses.replace(FACTS, roles=("reader",)))
    assert "has read-only access to project 'demo'" in plan.problems[0].what


def test_facts_hidden_by_the_cloud_are_a_warning() -> None:
    facts = dataclasses.replace(FACTS, roles=None, unknown=("the list of your roles",))
    plan = make(facts=facts)
    assert plan.problems == []
    assert "this cloud does not show the list of your roles; not checked" in plan.warnings


@pytest.mark.parametrize(("owner", "warned"), [("u1", False), ("u2", True), ("", False)])
def test_a_server_with_another_users_key_is_a_warning(owner: str, warned: bool) -> None:
    mine = whole(servers=(dataclasses.replace(server(), user=owner),))
    plan = make(mine, key=Problem("keypair", "exists with a different key."))
    assert plan.problems == []
    assert any("another user" in warning for warning in plan.warnings) is warned
    assert not any("another user" in warning for warning in make(mine, recreate=True).warnings)


def test_a_deprecation_in_the_user_data_is_a_warning() -> None:
    parcel = dataclasses.replace(PARCEL, warnings=("cloud-init schema: deprecated",))
    plan = make(parcel=parcel)
    assert plan.problems == [] and "cloud-init schema: deprecated" in plan.warnings


def test_a_cloud_without_a_network_service() -> None:
    plan = make(facts=dataclasses.replace(FACTS, services=("compute", "image")))
    assert plan.problems[0].what == "it has no network service."


def test_a_volume_needs_a_volume_service() -> None:
    assert "no volume service" in make(volume_size=20).problems[0].what
    facts = dataclasses.replace(FACTS, services=(*FACTS.services, "volumev3"))
    assert make(facts=facts, volume_size=20).problems == []


def test_a_short_build_timeout_is_a_warning() -> None:
    assert "Nova itself waits up to 300 s" in make(timeout_build=100).warnings[0]


def test_the_same_facts_give_the_same_plan() -> None:
    assert make() == make()
