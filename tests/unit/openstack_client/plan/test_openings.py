"""Every opening of a plan: port, protocol, from where, and for whom, as text and as JSON."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from openstack_client.cli.tables import plan_json, show_plan
from openstack_client.cloud.resources import Group, Route, Rule
from openstack_client.plan.decide import decide
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Plan
from openstack_client.roles import TlsKind, beside, ours
from openstack_client.settings import merge
from tests.unit.openstack_client.plan.test_decide import (
    FACTS,
    GROUP,
    KEY,
    ME,
    PARCEL,
    make,
    whole,
)

HERE = dataclasses.replace(FACTS, route=Route("198.51.100.7", "203.0.113.1"))
KEYS = f"operators with the ssh key {KEY.keypair}"


def listed(plan: Plan) -> set[tuple[Any, ...]]:
    rows = plan_json(plan, "")["openings"]
    return {(row["server"], row["port"], row["protocol"], row["from"], row["who"]) for row in rows}


def shown(plan: Plan) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    show_plan(console, plan)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_by_default_ssh_is_open_to_this_machine_alone() -> None:
    plan = make(facts=HERE)
    assert listed(plan) == {
        ("server", 5100, "tcp", "0.0.0.0/0", "anybody"),
        ("server", 22, "tcp", "198.51.100.7/32", KEYS),
    }
    assert plan_json(plan, "")["ssh_from"]["networks"] == ["198.51.100.7/32"]
    lines = shown(plan)
    assert "Open: tcp 5100, from 0.0.0.0/0: anybody." in lines
    assert f"Open: tcp 22, from 198.51.100.7/32: {KEYS}." in lines
    assert any(line.startswith("ssh is open to 198.51.100.7/32: the address of") for line in lines)


@pytest.mark.parametrize(
    "flags",
    [
        {"access": "token"},
        {"access": "oidc", "oidc_issuer": "https://id.example.org", "oidc_audience": "course"},
    ],
)
def test_with_tokens_the_service_is_for_their_holders(flags: dict[str, str]) -> None:
    plan = make(facts=HERE, **flags, allow_from="192.0.2.0/24,2001:db8::/32")
    users = {row for row in listed(plan) if row[1] == 5100}
    assert users == {
        ("server", 5100, "tcp", "192.0.2.0/24", "holders of a token"),
        ("server", 5100, "tcp", "2001:db8::/32", "holders of a token"),
    }


def test_the_authority_of_a_certificate_comes_from_anywhere() -> None:
    """Even if users come from one network alone; and the plan says why."""
    plan = decide(
        merge({"allow_from": "192.0.2.0/24"}, {}, None)[0],
        HERE,
        Inventory("stackserve"),
        identity=ME,
        key=KEY,
        parcel=PARCEL,
        role=ours("server").with_tls(TlsKind.ACME),
    )
    why = "the authority of the certificate asks there whether the name leads to this server"
    assert {row for row in listed(plan) if row[1] in (80, 443)} == {
        ("server", 80, "tcp", "0.0.0.0/0", f"anybody; {why}"),
        ("server", 443, "tcp", "192.0.2.0/24", "anybody"),
    }
    assert f"Open: tcp 80, from 0.0.0.0/0: anybody; {why}." in shown(plan)
    assert Rule(80, "0.0.0.0/0") in plan.front.group.add_rules


def test_the_openings_are_the_rules_that_are_made() -> None:
    plan = make(facts=HERE, ssh_from="192.0.2.1,192.0.2.2")
    made = {(rule.port, rule.cidr) for rule in plan.front.group.add_rules}
    assert {(row[1], row[3]) for row in listed(plan)} == made and len(made) == 3


def test_deploy_again_from_elsewhere_moves_the_rule() -> None:
    before = (Rule(5100, "0.0.0.0/0", "1"), Rule(22, "192.0.2.9/32", "2"))
    plan = make(whole(groups=(dataclasses.replace(GROUP, rules=before),)), facts=HERE)
    assert [rule.cidr for rule in plan.front.group.add_rules] == ["198.51.100.7/32"]
    assert [rule.id for rule in plan.front.group.drop_rules] == ["2"]
    assert any("removes 22 from 192.0.2.9/32" in line for line in shown(plan))


def team(scaling: bool = False, mine: Inventory | None = None) -> Plan:
    return decide(
        merge({"worker_vms": 2}, {}, None)[0],
        HERE,
        mine or Inventory("stackserve"),
        identity=ME,
        key=KEY,
        parcel=PARCEL,
        worker_role=beside(ours("server"), "worker"),
        worker_parcel=PARCEL,
        scaling=scaling,
    )


def test_worker_vms_are_reached_by_the_front_end_alone() -> None:
    assert listed(team()) >= {
        (
            "server",
            5671,
            "tcp",
            "the worker VMs",
            "this deployment's worker VMs, each with its account",
        ),
        ("worker", 22, "tcp", "the front end", f"{KEYS}, through the front end"),
    }


def test_scaling_leaves_ssh_as_it_is_and_says_no_more() -> None:
    plan = team(scaling=True, mine=whole())
    assert ("server", 22, "tcp", "0.0.0.0/0", KEYS) in listed(plan)
    assert plan.ssh is None and plan_json(plan, "")["ssh_from"] is None
    assert ("server", 5100, "tcp", "0.0.0.0/0", "who could before") in listed(plan)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (Rule(22, "0.0.0.0/0", "1"), f"Open: tcp 22, from 0.0.0.0/0: {KEYS}."),
        (Rule(8080, "0.0.0.0/0", "1"), "Open: tcp 8080, from 0.0.0.0/0: whoever connects"),
        (
            Rule(1, "::/0", "1", other=True, protocol="udp", last=99),
            "Open: udp 1-99, from ::/0: whoever",
        ),
        (Rule(None, "0.0.0.0/0", "1", other=True, protocol="any"), "Open: any protocol, from 0.0"),
        (
            Rule(None, "", "1", group="g9", other=True),
            "from the servers of the same security group",
        ),
        (Rule(None, "", "1", group="gx", other=True), "from security group gx: whoever"),
    ],
    ids=["ssh", "foreign port", "range", "everything", "itself", "another group"],
)
def test_a_given_group_is_listed_with_all_that_it_lets_in(rule: Rule, line: str) -> None:
    facts = dataclasses.replace(HERE, groups=(Group("g9", "mine", rules=(rule,)),))
    plan = make(facts=facts, security_group="mine")
    assert any(line in shown_line for shown_line in shown(plan)), shown(plan)
    assert plan.ssh is None
