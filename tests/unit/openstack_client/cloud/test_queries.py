"""Parallel queries: all results, the first error, and Ctrl-C. Listings: each resource once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.cloud import queries
from openstack_client.cloud.queries import PARALLEL_QUERIES, run_all
from openstack_client.errors import CloudError


def test_every_query_returns_its_result() -> None:
    names = [str(number) for number in range(3 * PARALLEL_QUERIES)]
    assert run_all({name: partial(int, name) for name in names}) == {n: int(n) for n in names}


def test_queries_run_in_parallel() -> None:
    meeting = threading.Barrier(PARALLEL_QUERIES, timeout=5)
    answers = run_all({str(n): meeting.wait for n in range(PARALLEL_QUERIES)})
    assert sorted(answers.values()) == list(range(PARALLEL_QUERIES))


def test_an_error_is_raised_after_all_have_finished() -> None:
    ended = []

    def fails() -> None:
        raise CloudError("no")

    def slow() -> None:
        time.sleep(0.2)
        ended.append(True)

    with pytest.raises(CloudError, match="no"):
        run_all({"fails": fails, "slow": slow})
    assert ended == [True]


def test_ctrl_c_does_not_wait_for_a_cloud_that_hangs() -> None:
    never = threading.Event()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_all({"hangs": lambda: never.wait(20)})
    assert time.monotonic() - began < 5
    never.set()


NAMED = {"id": "1", "name": "first", "status": "BUILD", "description": "", "tags": []}
NETWORKED = {
    "network_id": "n",
    "fixed_ips": [],
    "device_id": "",
    "floating_ip_address": "192.0.2.1",
    "port_id": None,
    "floating_network_id": "x",
    "security_group_rules": [],
}


def in_pages(**latest: Any) -> Callable[..., list[SimpleNamespace]]:
    """A listing whose second page starts with the last entry of the first one."""
    first = SimpleNamespace(**NAMED, **NETWORKED)
    other = SimpleNamespace(**{**NAMED, "id": "2", "name": "other"}, **NETWORKED)
    again = SimpleNamespace(**{**NAMED, **latest}, **NETWORKED)
    return lambda **_: [other, first, again]


@pytest.mark.parametrize("kind", ["servers", "groups", "addresses", "ports", "keypairs"])
def test_a_resource_on_two_pages_is_listed_once(kind: str) -> None:
    listing = in_pages()
    cloud: Any = SimpleNamespace(
        project_id="p",
        request=lambda service, doing, call: call(),
        nova=SimpleNamespace(
            servers=SimpleNamespace(list=listing), keypairs=SimpleNamespace(list=listing)
        ),
        connection=SimpleNamespace(
            network=SimpleNamespace(security_groups=listing, ips=listing, ports=listing)
        ),
    )
    found = [resource.id for resource in getattr(queries, kind)(cloud)]
    assert found == (["other", "first"] if kind == "keypairs" else ["2", "1"])


@pytest.mark.parametrize(
    ("fields", "never_ran"),
    [({"launched_at": None}, True), ({"launched_at": "2026-01-01T00:00:00"}, False), ({}, False)],
)
def test_only_nova_can_say_that_a_server_never_ran(fields: dict[str, Any], never_ran: bool) -> None:
    raw = SimpleNamespace(**NAMED, **{f"OS-SRV-USG:{key}": fields[key] for key in fields})
    assert queries.server_of(raw).never_ran is never_ran


def test_the_later_page_has_the_latest_state() -> None:
    listing = in_pages(status="ACTIVE")
    cloud: Any = SimpleNamespace(
        request=lambda service, doing, call: call(),
        nova=SimpleNamespace(servers=SimpleNamespace(list=listing)),
    )
    assert [server.status for server in queries.servers(cloud)] == ["BUILD", "ACTIVE"]


def test_rules_for_another_group_admit_no_network() -> None:
    rule = {
        "id": "r1",
        "direction": "ingress",
        "protocol": "tcp",
        "port_range_min": 22,
        "port_range_max": 22,
        "remote_group_id": "g2",
        "remote_ip_prefix": None,
        "ethertype": "IPv4",
    }
    other = {**rule, "id": "r2", "ethertype": "IPv6"}
    raw = SimpleNamespace(
        id="g1", name="x", description="", tags=(), security_group_rules=[rule, other]
    )
    first, second = queries.group_of(raw).rules
    assert first.admits == (22, "", "g2") and not first.other
    assert second.other


def test_a_server_group() -> None:
    raw = SimpleNamespace(id="1", name="x", policies=["soft-anti-affinity"], members=["a"])
    found = queries.server_group_of(raw)
    assert (found.policy, found.members) == ("soft-anti-affinity", ("a",))
