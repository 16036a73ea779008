"""Real guests, created with the `openstack` command line as an ordinary user."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab_guests import Guests

# On an idle machine, emulated guests boot in 80 s.
BOOT = 600


@pytest.fixture(scope="module")
def guest(booting_guests: Guests) -> Iterator[Guests]:
    """The guests, when the first one has booted."""
    booting_guests.wait()
    deadline = time.monotonic() + BOOT
    while (answer := booting_guests.ssh("true")).code != 0:
        assert time.monotonic() < deadline, answer.errors + booting_guests.console[-9000:]
        time.sleep(1)
    waited = booting_guests.ssh("cloud-init status --wait", timeout=BOOT)
    assert "done" in waited.output, waited.output
    yield booting_guests
    booting_guests.remove()


@pytest.mark.timeout(1500)
def test_a_server_is_active_in_seconds(guest: Guests) -> None:
    # 9 s on four cores. With the probe that libvirt makes where /dev/kvm hangs: 73 s.
    assert guest.active_after < 40


def test_the_guest_gets_user_data_and_a_config_drive(guest: Guests) -> None:
    assert guest.ssh("cat /etc/from-user-data").output == "written"
    assert "config-2" in guest.ssh("sudo blkid").output
    assert "ConfigDrive" in guest.ssh("cat /run/cloud-init/result.json").output


def test_the_metadata_service_answers(guest: Guests) -> None:
    asked = guest.ssh("curl -sS -m 30 http://169.254.169.254/openstack/latest/meta_data.json")
    metadata = json.loads(asked.output)
    assert metadata["name"] == guest.name and guest.name in metadata["public_keys"]


def test_the_disk_has_the_flavors_size_and_the_cpu_has_avx(guest: Guests) -> None:
    assert int(guest.ssh("df --output=size -BM / | tail -1").output.strip(" M\n")) > 3500
    assert guest.ssh("grep -c -w avx /proc/cpuinfo").output.strip() == "1"


def test_the_console_shows_the_boot(guest: Guests) -> None:
    log = guest.console
    assert "Linux version" in log and "BEGIN SSH HOST KEY KEYS" in log
    ours = guest.cloud.lab("console", guest.name)
    assert "Linux version" in ours.output


@pytest.mark.long
@pytest.mark.timeout(BOOT)
def test_a_second_server_is_reached_by_address_and_name(guest: Guests) -> None:
    answered = guest.ssh(f"until ping -c 1 -W 2 {guest.second}; do sleep 1; done", timeout=BOOT)
    assert answered.code == 0
    found = guest.ssh(f"getent hosts {guest.name}-second.lab")
    assert guest.second in found.output, found.errors


def test_a_port_without_a_rule_is_closed(guest: Guests) -> None:
    guest.ssh("nohup python3 -m http.server 8099 >/dev/null 2>&1 &")
    listening = guest.ssh(
        "curl -s -m 60 --retry 20 --retry-connrefused --retry-delay 1 "
        "-o /dev/null -w '%{http_code}' http://127.0.0.1:8099/"
    )
    assert listening.output == "200", listening.errors
    with pytest.raises(OSError):
        socket.create_connection((guest.address, 8099), timeout=5).close()
    socket.create_connection((guest.address, 22), timeout=20).close()


def test_the_guest_reaches_the_mirror(guest: Guests) -> None:
    """This needs DNS, routing, address translation and checksums."""
    asked = guest.ssh(
        "curl -sS -m 60 -o /dev/null -w '%{http_code}' "
        "$(awk '{print $2; exit}' /etc/apt/sources.list)/dists/bookworm/InRelease"
    )
    assert asked.output == "200", asked.errors


@pytest.mark.long
@pytest.mark.timeout(900)
def test_apt_and_pip_install(guest: Guests) -> None:
    """With the machine's settings from deployment.toml."""
    import tomllib

    folder = guest.cloud.layout.folder
    offered = tomllib.loads((folder / "deployment.toml").read_text())
    index, bundle = offered["pip_index"], offered["ca_bundle"]
    if bundle:
        with Path(bundle).open("rb") as content:
            subprocess.run(
                [
                    "ssh",
                    "-i",
                    str(guest.key),
                    "-o",
                    "StrictHostKeyChecking=no",
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                    f"debian@{guest.address}",
                    "sudo tee -a /etc/ssl/certs/ca-certificates.crt >/dev/null",
                ],
                stdin=content,
                check=True,
                timeout=60,
            )
    installed = guest.ssh("sudo apt-get -qq update && sudo apt-get -qq install -y bc", 600)
    assert installed.code == 0, installed.errors
    pip = "pip install --cert /etc/ssl/certs/ca-certificates.crt " + (
        f"--index-url {index} " if index else ""
    )
    done = guest.ssh(
        f"python3 -m venv v && v/bin/{pip} click && v/bin/python -c 'import click'", 600
    )
    assert done.code == 0, done.errors
