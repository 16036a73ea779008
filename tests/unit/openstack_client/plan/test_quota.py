"""Quota arithmetic."""

from __future__ import annotations

import pytest

from openstack_client.cloud.resources import Quota
from openstack_client.plan.quota import NAMES, shortages


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_exceeded_quota_is_named(name: str) -> None:
    problems = shortages({name: 2}, {name: Quota(limit=3, used=2)})
    assert len(problems) == 1
    assert problems[0].subject == f"quota of {NAMES[name]}"
    assert problems[0].what == f"2 more {NAMES[name]} needed, 1 left (2 of 3 in use)."
    assert problems[0].remedy


@pytest.mark.parametrize(
    ("need", "limit", "used"), [(1, 10, 9), (5, -1, 100), (0, 0, 0), (0, 1, 5), (3, 3, 0)]
)
def test_enough_quota_is_no_problem(need: int, limit: int, used: int) -> None:
    assert shortages({"cores": need}, {"cores": Quota(limit, used)}) == []


def test_an_overdrawn_quota_has_nothing_left() -> None:
    assert "0 left (7 of 5 in use)" in shortages({"ports": 1}, {"ports": Quota(5, 7)})[0].what


def test_all_shortages_at_once_and_unknown_quotas_pass() -> None:
    quotas = {"cores": Quota(1, 1), "ram": Quota(1024, 0), "instances": Quota(0, 0)}
    needs = {"cores": 1, "ram": 2048, "instances": 1, "ports": 1}
    assert len(shortages(needs, quotas)) == 3
