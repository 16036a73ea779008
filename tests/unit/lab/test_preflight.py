"""The lab refuses a machine with all reasons at once, each with its remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from openstack_lab.errors import RefusedError
from openstack_lab.nameservers import reachable
from openstack_lab.preflight import GIB, Facts, refusals, refuse

GOOD = Facts(
    user_id=0,
    system="debian",
    like="",
    machine="x86_64",
    memory=16 * GIB,
    free_disk=50 * GIB,
    tun=True,
    apt=True,
)


def test_a_good_machine_is_not_refused() -> None:
    assert refusals(GOOD, real=True, fresh=True) == []
    assert (
        refusals(replace(GOOD, system="linuxmint", like="ubuntu debian"), real=True, fresh=True)
        == []
    )


@pytest.mark.parametrize(
    ("facts", "word", "remedy"),
    [
        (replace(GOOD, user_id=1000), "root", "sudo"),
        (replace(GOOD, system="fedora"), "fedora", "Debian 12"),
        (replace(GOOD, apt=False), "Debian and Ubuntu", "Debian 12"),
        (replace(GOOD, machine="aarch64"), "aarch64", "machine"),
        (replace(GOOD, tun=False), "/dev/net/tun", "modprobe tun"),
        (replace(GOOD, memory=5 * GIB), "5.0 GiB of memory", "--hypervisor fake"),
        (replace(GOOD, free_disk=3 * GIB), "3.0 GiB of disk", "--folder"),
    ],
)
def test_each_reason_has_a_remedy(facts: Facts, word: str, remedy: str) -> None:
    ((problem, what_to_do),) = refusals(facts, real=True, fresh=True)
    assert word in problem and remedy in what_to_do


def test_a_lab_without_guests_needs_less() -> None:
    small = replace(GOOD, memory=5 * GIB, free_disk=5 * GIB)
    assert refusals(small, real=False, fresh=True) == []
    assert len(refusals(small, real=True, fresh=True)) == 2


def test_a_running_lab_needs_no_free_memory() -> None:
    full = replace(GOOD, memory=1 * GIB, free_disk=1 * GIB)
    assert refusals(full, real=True, fresh=False) == []


def test_all_reasons_are_reported_at_once() -> None:
    with pytest.raises(RefusedError) as refused:
        refuse(refusals(replace(GOOD, user_id=1, tun=False), real=True, fresh=True))
    assert len(refused.value.problem.splitlines()) == 2
    assert len(refused.value.remedy.splitlines()) == 2


def test_name_servers_on_the_loopback_are_left_out() -> None:
    text = "nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1\nsearch example.org\n"
    assert reachable(text) == ("192.0.2.1",)
