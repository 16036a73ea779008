"""The smallest set of security group rules."""

from __future__ import annotations

from openstack_client.cloud.resources import Rule
from openstack_client.plan.security_group import describe, difference, ether_type, wanted_rules

ANY = "0.0.0.0/0"


def test_only_the_service_and_ssh_are_opened() -> None:
    assert wanted_rules([ANY], [ANY]) == [Rule(5100, ANY), Rule(22, ANY)]


def test_ssh_may_be_narrower() -> None:
    rules = wanted_rules([ANY], ["10.0.0.0/8"])
    assert rules == [Rule(5100, ANY), Rule(22, "10.0.0.0/8")]


def test_nothing_to_do_when_the_rules_are_there() -> None:
    wanted = wanted_rules([ANY], [ANY])
    present = [Rule(22, ANY, "a"), Rule(5100, ANY, "b")]
    assert difference(wanted, present) == ([], [])


def test_wrong_and_foreign_rules_are_deleted() -> None:
    wanted = wanted_rules(["10.0.0.0/8"], ["10.0.0.0/8"])
    present = [Rule(22, "10.0.0.0/8", "a"), Rule(5100, ANY, "b"), Rule(22, ANY, "c", other=True)]
    add, drop = difference(wanted, present)
    assert add == [Rule(5100, "10.0.0.0/8")]
    assert [rule.id for rule in drop] == ["b", "c"]


def test_description_and_ether_type() -> None:
    assert describe([Rule(22, "a"), Rule(22, "b"), Rule(5100, "c")]) == "22 from a, b; 5100 from c"
    assert describe([Rule(None, "a", other=True)]) == "any from a"
    assert ether_type("::/0") == "IPv6" and ether_type(ANY) == "IPv4"
