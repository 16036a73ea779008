"""Several servers: which worker VMs are created, kept, replaced and removed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from openstack_client.cloud.resources import (
    Address,
    Facts,
    Group,
    Port,
    Quota,
    Rule,
    Server,
    ServerGroup,
)
from openstack_client.plan import inventory
from openstack_client.plan.decide import decide, needs
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Action, Item, Parcel, Plan
from openstack_client.plan.workers import broken, choose
from openstack_client.roles import ours
from openstack_client.settings import merge
from tests.unit.openstack_client.plan.test_decide import FACTS, GROUP, KEY, ME, PARCEL, PORT, whole

NAME = "stackserve"
SPREAD = ServerGroup("sg1", "stackserve-stackserve", "soft-anti-affinity", ("w1", "w2"))
TEAM = Group(
    "g2",
    "stackserve-stackserve-worker",
    inventory.mark(NAME, "00ff", "worker"),
    (Rule(22, "", "7", group="g1"),),
)
OPEN = dataclasses.replace(GROUP, rules=(*GROUP.rules, Rule(5671, "", "3", group="g2")))


def worker(number: int, status: str = "ACTIVE", code: str = PARCEL.code_hash) -> Server:
    part = f"worker-{number}"
    metadata = inventory.metadata(
        NAME,
        run="00ff",
        code=code,
        data=PARCEL.digest,
        user="debian",
        watched=ours("worker").watched,
        part=part,
    )
    return Server(f"w{number}", f"stackserve-{NAME}-{part}", status, metadata=metadata)


def port(number: int) -> Port:
    mark = inventory.mark(NAME, "00ff", f"worker-{number}")
    return Port(f"q{number}", f"stackserve-{NAME}-worker-{number}", mark, "n1", f"10.0.0.{number}")


def team(*servers: Server, ports: int = 2, **changes: Any) -> Inventory:
    """A deployment with worker VMs."""
    front = whole()
    return dataclasses.replace(
        front,
        servers=(*front.servers, *servers),
        ports=(*front.ports, *map(port, range(1, ports + 1))),
        groups=(OPEN, TEAM),
        server_groups=(SPREAD,),
        **changes,
    )


BOTH = team(worker(1), worker(2))


def make(
    mine: Inventory | None = None,
    *,
    facts: Facts = FACTS,
    recreate: bool = False,
    scaling: bool = False,
    parcel: Parcel = PARCEL,
    **flags: Any,
) -> Plan:
    return decide(
        merge(flags, {}, None)[0],
        facts,
        mine or Inventory(NAME),
        identity=ME,
        key=KEY,
        parcel=parcel,
        recreate=recreate,
        scaling=scaling,
        worker_role=ours("worker"),
        worker_parcel=parcel,
    )


def actions(plan: Plan) -> dict[str, Action]:
    return {member.part: member.action for member in plan.servers}


def removed(plan: Plan) -> list[tuple[str, str]]:
    return [(item.kind, item.id) for item in plan.items if item.action is Action.REMOVE]


@pytest.mark.parametrize(
    ("present", "wanted", "parts", "surplus"),
    [
        ({}, None, [], []),
        ({}, 2, ["worker-1", "worker-2"], []),
        ({"worker-1": True, "worker-2": True}, None, ["worker-1", "worker-2"], []),
        ({"worker-1": True, "worker-2": True}, 1, ["worker-1"], ["worker-2"]),
        # A dead one goes first, and keeps its place when nobody has to go.
        ({"worker-1": False, "worker-2": True}, 1, ["worker-2"], ["worker-1"]),
        ({"worker-1": False, "worker-2": True}, 2, ["worker-1", "worker-2"], []),
        ({"worker-2": True}, 2, ["worker-1", "worker-2"], []),
        ({"worker-10": True, "worker-9": True}, 1, ["worker-9"], ["worker-10"]),
        ({"worker-1": True}, 0, [], ["worker-1"]),
    ],
)
def test_which_worker_vms_there_are(
    present: dict[str, bool], wanted: int | None, parts: list[str], surplus: list[str]
) -> None:
    assert choose(present, wanted, "worker") == (parts, surplus)


def test_a_new_deployment_with_two() -> None:
    plan = make(worker_vms=2)
    assert plan.problems == []
    assert set(actions(plan).values()) == {Action.CREATE}
    assert list(actions(plan)) == ["", "worker-1", "worker-2"]
    assert [member.name for member in plan.workers] == [
        "stackserve-stackserve-worker-1",
        "stackserve-stackserve-worker-2",
    ]
    assert [member.floating for member in plan.servers] == [True, False, False]
    assert plan.create_server_group and all(member.spread for member in plan.workers)
    assert not plan.front.spread


def test_the_broker_is_open_to_the_workers_alone_and_they_to_the_front_end_alone() -> None:
    front, others = make(worker_vms=2).groups
    assert [rule for rule in front.add_rules if rule.group] == [Rule(5671, "", group=others.key)]
    assert others.add_rules == [Rule(22, "", group=front.key)]
    assert others.key == "new:worker" and front.key == "new:"


def test_without_worker_vms_the_broker_is_closed() -> None:
    (only,) = make().groups
    assert {rule.port for rule in only.add_rules} == {5100, 22}


def test_quotas_are_summed() -> None:
    plan = make(worker_vms=2)
    assert needs(plan, merge({}, {}, None)[0]) == {
        "floating_ips": 1,
        "security_groups": 2,
        "security_group_rules": 8,
        "ports": 3,
        "keypairs": 1,
        "instances": 3,
        "cores": 6,
        "ram": 6144,
    }
    tight = dataclasses.replace(FACTS, quotas={"instances": Quota(2, 0)})
    problems = make(facts=tight, worker_vms=2).problems
    assert [problem.subject for problem in problems] == ["quota of servers"]
    assert "3 more servers needed, 2 left" in problems[0].what


def test_a_second_run_finds_all_of_them() -> None:
    for flags in ({}, {"worker_vms": 2}):
        plan = make(BOTH, **flags)
        assert plan.problems == [] and plan.warnings == []
        assert {item.action for item in plan.items} == {Action.FOUND}
        assert plan.keeps_servers and plan.surplus.empty and plan.loss == ""


def test_one_that_was_deleted_by_hand_is_created_again_on_its_port() -> None:
    plan = make(team(worker(2)))
    assert actions(plan)["worker-1"] is Action.CREATE and plan.problems == []
    assert [member.port and member.port.id for member in plan.workers] == ["q1", "q2"]
    assert plan.network and plan.network.id == "n1"
    assert plan.workers[0].spread


def test_one_in_error_is_replaced_without_a_question() -> None:
    plan = make(team(worker(1), worker(2, "ERROR")))
    assert actions(plan) == {
        "": Action.FOUND,
        "worker-1": Action.FOUND,
        "worker-2": Action.REPLACE,
    }
    assert plan.loss == ""


def test_a_silent_one_is_replaced_or_removed_first() -> None:
    facts = dataclasses.replace(FACTS, silent={"worker-1": "not connected to the server"})
    plan = make(BOTH, facts=facts)
    assert actions(plan) == {
        "": Action.FOUND,
        "worker-1": Action.REPLACE,
        "worker-2": Action.FOUND,
    }
    (item,) = [item for item in plan.items if item.action is Action.REPLACE]
    assert item.detail.startswith("was ACTIVE (not connected to the server), ")
    assert plan.loss == "" and plan.workers[0].port and plan.workers[0].spread
    fewer = make(BOTH, facts=facts, worker_vms=1)
    assert actions(fewer) == {"": Action.FOUND, "worker-2": Action.FOUND}
    assert removed(fewer) == [("server", "w1"), ("port", "q1")]


def test_what_is_wrong_with_worker_vms() -> None:
    assert broken(BOTH) == []
    others = team(worker(1, "ERROR"), worker(3, "SHUTOFF"), worker(4, "BUILD"), ports=4)
    assert broken(others) == ["worker-1 is in ERROR", "worker-2 is gone", "worker-3 is SHUTOFF"]


def test_recreate_replaces_all() -> None:
    plan = make(BOTH, recreate=True)
    assert set(actions(plan).values()) == {Action.REPLACE}
    assert plan.loss.startswith("Replacing server 'stackserve-stackserve' deletes")


def test_fewer_asks_first_and_removes_server_and_port() -> None:
    plan = make(BOTH, worker_vms=1)
    assert actions(plan) == {"": Action.FOUND, "worker-1": Action.FOUND}
    assert removed(plan) == [("server", "w2"), ("port", "q2")]
    assert plan.loss == "Removing: stackserve-stackserve-worker-2."


def test_none_removes_what_they_shared_but_keeps_the_broker_open_until_then() -> None:
    plan = make(BOTH, worker_vms=0)
    assert {kind for kind, _ in removed(plan)} == {
        "server",
        "port",
        "security group",
        "server group",
    }
    assert plan.front.group.drop_rules == []


def test_new_ones_need_the_code_of_the_front_end() -> None:
    other = dataclasses.replace(PARCEL, code_hash="other")
    plan = make(whole(), parcel=other, worker_vms=1)
    assert [problem.subject for problem in plan.problems] == ["code"]
    assert "has the code c0de; new worker VMs would get other" in plan.problems[0].what
    assert make(BOTH, parcel=other).problems == []


def test_a_role_without_workers() -> None:
    flags, _ = merge({"worker_vms": 1}, {}, None)
    plan = decide(
        flags,
        FACTS,
        Inventory(NAME),
        identity=ME,
        key=KEY,
        parcel=PARCEL,
        role=ours("hello"),
    )
    assert [problem.subject for problem in plan.problems] == ["worker VMs"]
    assert plan.workers == []


# Server groups


def test_a_cloud_without_server_groups_is_a_warning() -> None:
    plan = make(facts=dataclasses.replace(FACTS, server_groups=None), worker_vms=2)
    assert plan.problems == [] and not plan.create_server_group
    assert "this cloud does not offer server groups; worker VMs may share" in plan.warnings[-1]


def test_a_used_up_quota_of_server_groups_is_a_warning() -> None:
    quotas = {"server_groups": Quota(10, 10)}
    plan = make(facts=dataclasses.replace(FACTS, quotas=quotas), worker_vms=2)
    assert plan.problems == [] and not plan.create_server_group
    assert "the quota of server groups is used up" in plan.warnings[-1]


def test_places_in_a_server_group_are_limited() -> None:
    quotas = {"server_group_members": Quota(3, 0)}
    plan = make(BOTH, facts=dataclasses.replace(FACTS, quotas=quotas), worker_vms=4)
    assert [member.spread for member in plan.workers] == [False, False, True, False]
    assert "at most 3 members; 1 worker VMs may share" in plan.warnings[-1]


def test_a_strict_policy_is_used_with_a_warning() -> None:
    strict = dataclasses.replace(SPREAD, policy="anti-affinity")
    plan = make(dataclasses.replace(BOTH, server_groups=(strict,)), worker_vms=3)
    assert plan.server_group == strict and plan.workers[2].spread
    assert "Nova refuses a worker VM that has no hypervisor for itself" in plan.warnings[-1]


def test_two_server_groups_of_one_name() -> None:
    twice = dataclasses.replace(BOTH, server_groups=(SPREAD, SPREAD))
    assert [problem.subject for problem in make(twice).problems] == ["server group"]


# Scaling


def test_scaling_leaves_the_front_end_alone() -> None:
    """Flags that were given to deploy alone do not come undone."""
    narrow = dataclasses.replace(GROUP, rules=(Rule(5100, "10.0.0.0/8", "1"),))
    theirs = Address("a9", "172.24.4.99", "", "p1", "x1")
    mine = whole(groups=(narrow,), addresses=())
    plan = make(
        mine, facts=dataclasses.replace(FACTS, addresses=(theirs,)), scaling=True, worker_vms=1
    )
    assert plan.problems == []
    assert plan.front.group.drop_rules == []
    assert plan.front.group.add_rules == [Rule(5671, "", group="new:worker")]
    assert plan.front.address is theirs
    assert Item("floating IP", "172.24.4.99", Action.FOUND, "", "a9") in plan.items
    without = make(mine, scaling=True, worker_vms=1)
    assert not without.front.floating and without.external is None


def test_scaling_keeps_a_security_group_that_deploy_was_given() -> None:
    mine = Group("g9", "mine")
    facts = dataclasses.replace(FACTS, groups=(mine,))
    given = dataclasses.replace(PORT, groups=("g9",))
    plan = make(whole(groups=(), ports=(given,)), facts=facts, scaling=True, worker_vms=1)
    front, others = plan.groups
    assert front.found is mine and front.given and front.add_rules == []
    assert others.add_rules == [Rule(22, "", group="g9")]


def test_a_given_security_group_is_not_changed() -> None:
    mine = Group("g9", "mine")
    facts = dataclasses.replace(FACTS, groups=(mine,))
    front, others = make(facts=facts, security_group="mine", worker_vms=1).groups
    assert front.given and front.add_rules == []
    assert others.add_rules == [Rule(22, "", group="g9")]
