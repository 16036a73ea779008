"""Nova's faults in words, and keeping host keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from openstack_client.facts import Server
from openstack_client.waiting import fault, remember_host_keys


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("No valid host was found. There are not enough hosts available.", "room for flavor 'big'"),
        ("Exceeded maximum number of retries.", "Every hypervisor that Nova tried"),
        ("Build of instance aborted: Volume x did not finish", "volume quota"),
        ("Block Device Mapping is Invalid.", "volume quota"),
        ("", "cloud's operators"),
    ],
)
def test_each_fault_has_its_advice(said: str, remedy: str) -> None:
    error = fault(Server("s1", "x", "ERROR", fault=said, flavor="big", zone="south"))
    assert error.exit_code == 6
    assert "ended in ERROR. Nova says: " in error.what
    assert (said.rstrip(".") or "Nova tells no reason") in error.what
    assert remedy in error.remedy


def test_no_valid_host_names_the_zone() -> None:
    error = fault(Server("s1", "x", "ERROR", fault="No valid host was found.", zone="south"))
    assert "No hypervisor in zone south" in error.remedy


def test_host_keys_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts" / "web"
    assert not remember_host_keys(file, "1.2.3.4", "nothing")
    assert not file.exists()
    assert remember_host_keys(file, "1.2.3.4", "STACKSERVE-HOSTKEY ssh-ed25519 AAAA\n")
    assert file.read_text() == "1.2.3.4 ssh-ed25519 AAAA\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert remember_host_keys(file, "1.2.3.4", "STACKSERVE-HOSTKEY ssh-ed25519 BBBB\n")
    assert "AAAA" not in file.read_text()
