"""The folder and the addresses of a lab."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from openstack_lab.cli import main
from openstack_lab.errors import LabError
from openstack_lab.layout import Layout
from openstack_lab.settings import (
    Hypervisor,
    from_environment,
    invoking_user,
    parse_network,
)
from openstack_lab.uplink import overlap, packet_filter


def test_flags_override_variables_and_variables_override_defaults() -> None:
    variables = {"STACKSERVE_LAB": "/srv/lab", "STACKSERVE_LAB_NETWORK": "10.9.0.0/22"}
    assert from_environment(environment={}).folder == Path("/var/lib/stackserve-lab")
    assert from_environment(environment=variables).folder == Path("/srv/lab")
    assert from_environment("/other", environment=variables).folder == Path("/other")
    assert from_environment(environment=variables).network == IPv4Network("10.9.0.0/22")


def test_the_cache_is_in_the_folder_by_default() -> None:
    assert from_environment("/a", environment={}).cache == Path("/a/cache")
    assert from_environment("/a", "/b", environment={}).cache == Path("/b")


def test_a_network_is_divided_into_its_parts() -> None:
    settings = from_environment(network="172.24.8.0/22", environment={})
    assert str(settings.external) == "172.24.8.0/24" and str(settings.gateway) == "172.24.8.1"
    assert str(settings.host_address) == "172.24.9.1"
    assert str(settings.api_address) == "172.24.9.2"
    assert settings.interface == "stacklab8" and len(settings.interface) <= 15


@pytest.mark.parametrize("text", ["172.24.4.0/24", "8.8.4.0/22", "172.24.4.1/22", "lab"])
def test_invalid_networks_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(LabError) as refused:
        parse_network(text)
    assert text in refused.value.problem and "172.24.4.0/22" in refused.value.remedy


@pytest.mark.parametrize(
    ("routes", "taken"),
    [
        ([{"dst": "default", "dev": "eth0"}], ""),
        ([{"dst": "192.0.2.0/24", "dev": "eth0"}], ""),
        ([{"dst": "172.24.5.0/30", "dev": "stacklab4"}], "172.24.5.0/30 dev stacklab4"),
        ([{"dst": "172.16.0.0/12", "dev": "docker0"}], "172.16.0.0/12 dev docker0"),
        ([{"dst": "172.24.4.9", "dev": "tun0"}], "172.24.4.9 dev tun0"),
    ],
)
def test_addresses_in_use_are_found(routes: list[dict[str, Any]], taken: str) -> None:
    assert overlap(IPv4Network("172.24.4.0/22"), routes) == taken


def test_the_packet_filter_drops_connections_from_outside() -> None:
    text = packet_filter(from_environment(environment={}))
    assert text.startswith("table ip stacklab4 {")
    assert 'ip saddr 172.24.4.0/22 oifname != "stacklab4" masquerade' in text
    assert text.index("established") < text.index("drop")


@pytest.mark.parametrize(
    ("kind", "real", "fake"), [("qemu", True, False), ("fake", False, True), ("both", True, True)]
)
def test_hypervisors_have_real_or_fake_guests(kind: str, real: bool, fake: bool) -> None:
    hypervisor = Hypervisor(kind)
    assert (hypervisor.real, hypervisor.fake) == (real, fake)


def test_the_user_that_called_sudo_is_found() -> None:
    assert invoking_user({"SUDO_UID": "1000", "SUDO_GID": "100"}) == (1000, 100)
    assert invoking_user({}) is None


def test_every_command_is_refused_without_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for verb in ("up", "down", "status", "logs"):
        assert main([verb]) == 1
        assert "Run it with sudo." in capsys.readouterr().err


def test_files_are_in_the_folder_and_the_environment_in_the_cache() -> None:
    layout = Layout(from_environment("/lab", "/kept", environment={}))
    assert layout.python == Path("/kept/venv/bin/python")
    assert layout.control == Path("/lab/run/control.sock")
