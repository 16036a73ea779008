"""A lab that is killed during its first start, and two `up` at the same time, on real services."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from openstack_lab import namespace
from openstack_lab.memory import namespace_of

from tests.support.cloud import SCRIPT, LabCloud, another_lab

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

FOLDER = Path("/var/lib/stackserve-lab-of-crash-tests")
NETWORK = "172.24.16.0/22"
# Nova has over a hundred tables; the migrations after the first one change some of them.
ENOUGH_TABLES = 60


@pytest.fixture
def crashed(lab_cloud: LabCloud) -> Iterator[LabCloud]:
    """A lab that was never started; it takes environment and image from the first one."""
    cloud = another_lab(FOLDER, NETWORK)
    cloud.lab("down", "--purge")
    yield cloud
    cloud.lab("down", "--purge")
    shutil.rmtree(FOLDER, ignore_errors=True)


def start(cloud: LabCloud, hypervisor: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "up", *cloud.flags, "--hypervisor", hypervisor],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_half_a_migration(cloud: LabCloud) -> None:
    """Until Nova's `db sync` has created some tables, and is still running."""
    tables = cloud.layout.data("mysql") / "data" / "nova"
    deadline = time.monotonic() + 600
    while len(list(tables.glob("*.ibd"))) < ENOUGH_TABLES:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not (cloud.layout.markers / "nova-schema").exists()


def kill_everything(cloud: LabCloud, up: subprocess.Popen[str]) -> None:
    """`kill -9` of `up`, of the supervisor and of every process of the lab."""
    first = namespace.process_one(cloud.layout)
    where = namespace_of(first)
    members = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    os.killpg(up.pid, signal.SIGKILL)
    for pid in [pid for pid in members if namespace_of(pid) == where]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    up.communicate()


def supervisors() -> list[str]:
    listed = subprocess.run(
        ["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True
    )
    return [
        line
        for line in listed.stdout.splitlines()
        if line.startswith("unshare") and str(FOLDER) in line
    ]


def create_server(cloud: LabCloud, name: str) -> None:
    made = cloud.create_server(name, "--wait", timeout=400)
    assert made.code == 0, made.errors
    assert cloud.rows("server", "show", name)["status"] == "ACTIVE"


def test_up_repairs_a_lab_that_was_killed_during_a_migration(crashed: LabCloud) -> None:
    up = start(crashed, "qemu")
    wait_for_half_a_migration(crashed)
    kill_everything(crashed, up)
    repaired = crashed.up(timeout=900)
    create_server(crashed, "survivor")
    began = time.monotonic()
    while "login:" not in (console := crashed.lab("console", "survivor").output):
        assert time.monotonic() - began < 600, console[-3000:]
        time.sleep(2)
    print(f"repaired in {repaired.seconds:.0f} s, booted in {time.monotonic() - began:.0f} s")
    assert crashed.report()["healthy"]


def test_up_repairs_a_lab_that_was_stopped_during_a_migration(crashed: LabCloud) -> None:
    up = start(crashed, "fake")
    wait_for_half_a_migration(crashed)
    os.killpg(up.pid, signal.SIGKILL)
    up.communicate()
    stopped = crashed.lab("down")
    assert stopped.code == 0, stopped.errors
    assert not (crashed.layout.markers / "nova-schema").exists()
    print(f"repaired in {crashed.up(timeout=900).seconds:.0f} s")
    create_server(crashed, "survivor")


def test_two_at_once_end_with_one_lab(crashed: LabCloud) -> None:
    began = time.monotonic()
    both = [start(crashed, "fake"), start(crashed, "fake")]
    reports = [process.communicate(timeout=900)[1] for process in both]
    print(f"both ended after {time.monotonic() - began:.0f} s")
    assert [process.returncode for process in both] == [0, 0], reports
    waited = ["Waiting for `scripts/lab up` (process" in report for report in reports]
    assert sorted(waited) == [False, True], reports
    assert len(supervisors()) == 1 and crashed.report()["healthy"]
    create_server(crashed, "only")
