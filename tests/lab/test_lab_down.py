"""A second lab beside the first: interrupted, killed, repaired and removed completely."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openstack_lab import namespace

from tests.support.cloud import SCRIPT, LabCloud, another_lab

FOLDER = Path("/var/lib/stackserve-lab-of-tests")
NETWORK = "172.24.12.0/22"


def output(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def machine_state(mark: str) -> dict[str, list[str]]:
    """Everything that a lab could leave on the machine."""
    processes = [
        line for line in output("ps", "-eww", "-o", "args") if mark in line and "pytest" not in line
    ]
    rules = [line for line in output("iptables-save") if not line.startswith("#")]
    return {
        "processes": processes,
        "links": sorted(line.split()[0] for line in output("ip", "-brief", "link")),
        "routes": output("ip", "route"),
        "namespaces": output("ip", "netns"),
        "rules": [line.partition(" [")[0] for line in rules],
        "tables": output("nft", "list", "tables"),
        "mounts": sorted(Path("/proc/mounts").read_text().splitlines()),
        "settings": output("sysctl", "-n", "net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"),
        "run": sorted(path.name for path in Path("/run").glob("*stackserve-lab*")),
    }


@pytest.fixture(scope="module")
def before(real_lab: LabCloud) -> dict[str, list[str]]:
    """The state of the machine with the first lab only."""
    return machine_state(str(FOLDER))


@pytest.fixture(scope="module")
def second(before: dict[str, list[str]]) -> Iterator[LabCloud]:
    cloud = another_lab(FOLDER, NETWORK)
    cloud.lab("down", "--purge")
    yield cloud
    cloud.lab("down", "--purge")
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture(scope="module")
def interrupted(second: LabCloud) -> LabCloud:
    """The second lab, whose start was interrupted half-way: the hardest case for `down`."""
    started = subprocess.Popen(
        [sys.executable, str(SCRIPT), "up", *second.flags, "--hypervisor", "fake"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (second.layout.markers / "database-files").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(30) == 130
    return second


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_interrupted_start_is_resumed(interrupted: LabCloud) -> None:
    interrupted.up("--hypervisor", "fake", timeout=500)
    assert interrupted.report()["healthy"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_killed_lab_is_started_again(second: LabCloud) -> None:
    """As after a reboot."""
    inner = namespace.process_one(second.layout)
    os.kill(inner, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while second.running:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert second.lab("status").code == 3
    second.up(timeout=500)
    listed = second.rows("network", "list")
    assert {row["Name"] for row in listed} >= {"public", "private"}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_running_lab_can_add_real_guests(second: LabCloud) -> None:
    second.up("--hypervisor", "both", timeout=500)
    made = second.create_server("passing", "--wait", timeout=200)
    assert made.code == 0, made.errors


@pytest.mark.timeout(300)
def test_down_restores_the_machine(interrupted: LabCloud, before: dict[str, list[str]]) -> None:
    during = machine_state(str(FOLDER))
    assert during["links"] != before["links"] and during["processes"]
    ended = interrupted.lab("down")
    assert ended.code == 0, ended.errors
    assert machine_state(str(FOLDER)) == before


def test_down_of_another_folder_leaves_a_running_lab_alone(
    real_lab: LabCloud, tmp_path: Path
) -> None:
    """Even with the same addresses."""
    (tmp_path / "run").mkdir()
    network = str(real_lab.layout.settings.network)
    ended = another_lab(tmp_path, network).lab("down")
    assert ended.code == 0, ended.errors
    assert real_lab.report()["connected"]


@pytest.mark.timeout(300)
def test_purge_deletes_the_files_but_not_a_shared_cache(second: LabCloud) -> None:
    second.lab("down", "--purge")
    assert not FOLDER.exists()
    assert second.layout.python.exists()
