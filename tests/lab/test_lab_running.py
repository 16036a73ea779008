"""A running lab: small, private, and repaired by `up`."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openstack_lab import lock, namespace
from openstack_lab.memory import namespace_of

from tests.support.cloud import SCRIPT, LabCloud, run

GIB = 1024
pytestmark = pytest.mark.timeout(300)


def members(cloud: LabCloud) -> Iterator[Path]:
    """The /proc folder of every process of the lab."""
    where = namespace_of(namespace.process_one(cloud.layout))
    for entry in Path("/proc").glob("[0-9]*"):
        if namespace_of(int(entry.name)) == where:
            yield entry


def test_a_second_up_takes_seconds(lab_cloud: LabCloud) -> None:
    # The best of three, because the machine may be busy.
    assert min(lab_cloud.up().seconds for _ in range(3)) < 10


def test_status_shows_every_service_as_table_and_json(lab_cloud: LabCloud) -> None:
    report = lab_cloud.report()
    table = lab_cloud.lab("status")
    assert report["healthy"] and table.code == 0
    daemons = [unit["name"] for unit in report["units"] if not unit["task"]]
    assert {"database", "queue", "keystone", "glance", "nova", "neutron"} < set(daemons)
    for name in daemons:
        assert f"\n{name} " in table.output


def test_output_may_be_cut_off(lab_cloud: LabCloud) -> None:
    """As by `scripts/lab status | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), "status", *lab_cloud.flags],
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_the_control_plane_uses_less_than_five_gib(lab_cloud: LabCloud) -> None:
    guests = sum(
        int(line.split()[1]) // 1024
        for entry in members(lab_cloud)
        if b"qemu-system" in (entry / "cmdline").read_bytes()
        for line in (entry / "smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    )
    assert lab_cloud.report()["memory_mib"] - guests < 5 * GIB


def test_a_killed_service_is_restarted(lab_cloud: LabCloud) -> None:
    victim = "neutron-metadata"
    before = next(unit for unit in lab_cloud.report()["units"] if unit["name"] == victim)
    killed = lab_cloud.lab("exec", "kill", "-9", str(before["pid"]))
    assert killed.code == 0
    lab_cloud.up()
    after = next(unit for unit in lab_cloud.report()["units"] if unit["name"] == victim)
    assert after["state"] == "ready" and after["pid"] not in (0, before["pid"])


@pytest.mark.long
def test_networks_recover_after_the_switch_was_killed(lab_cloud: LabCloud) -> None:
    """Its ports in the networks' namespaces no longer work, but Neutron reports them as active."""
    gateway = lab_cloud.rows("router", "show", "router", cloud="lab-fake")["external_gateway_info"]
    outside = gateway["external_fixed_ips"][0]["ip_address"]
    ping = ["ping", "-c1", "-W2", outside]
    assert subprocess.run(ping, capture_output=True, check=False).returncode == 0
    units = {unit["name"]: unit for unit in lab_cloud.report()["units"]}
    assert lab_cloud.lab("exec", "kill", "-9", str(units["switch"]["pid"])).code == 0
    deadline = time.monotonic() + 10
    while subprocess.run(ping, capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline, "the router answers without a switch"
    lab_cloud.up()
    answered = subprocess.run([*ping, "-w5"], capture_output=True, text=True, check=False)
    assert answered.returncode == 0, answered.stdout
    after = {unit["name"]: unit for unit in lab_cloud.report()["units"]}
    assert after["neutron-l3"]["pid"] != units["neutron-l3"]["pid"]


def test_an_up_from_another_checkout_restarts_no_cloud_service(
    lab_cloud: LabCloud, tmp_path: Path
) -> None:
    """Only units that run the checkout's code depend on its path."""
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPT.parent, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    before = {unit["name"]: unit["pid"] for unit in lab_cloud.report()["units"]}
    ended = run([sys.executable, str(scripts / "lab"), "up"], timeout=240)
    assert ended.code == 0, ended.errors
    lab_cloud.up()
    after = {unit["name"]: unit["pid"] for unit in lab_cloud.report()["units"]}
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"neutron-fake-agent", "taps"}


def test_logs_are_found_by_name(lab_cloud: LabCloud) -> None:
    assert "keystone" in lab_cloud.lab("logs").output.split()
    assert "uWSGI" in lab_cloud.lab("logs", "keystone", "--lines", "100000").output
    wrong = lab_cloud.lab("logs", "cinder")
    assert wrong.code == 1 and "keystone" in wrong.errors


def test_nothing_listens_on_the_machine_itself(lab_cloud: LabCloud) -> None:
    """The lab's sockets are in its network namespace, on its loopback or its own addresses."""
    shown = lab_cloud.lab("exec", "ss", "-Hltn").output
    own = lab_cloud.layout.settings
    listening = {line.split()[3].rpartition(":")[0] for line in shown.splitlines()}
    allowed = {"127.0.0.1", "[::1]", str(own.api_address)}
    # Erlang's port mapper and distribution listen on all addresses of the namespace.
    assert listening - allowed - {"0.0.0.0", "*", "[::]"} == set()
    outside = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    for program in ("uwsgi", "mariadbd", "ovsdb-server"):
        assert program not in outside


def test_connections_from_other_machines_are_dropped(lab_cloud: LabCloud) -> None:
    """Even if they have a route to the lab's addresses."""
    interface = lab_cloud.layout.settings.interface
    table = subprocess.run(
        ["nft", "list", "table", "ip", interface], capture_output=True, text=True, check=True
    ).stdout
    assert f'oifname "{interface}" drop' in table


def test_secrets_are_private(lab_cloud: LabCloud) -> None:
    layout = lab_cloud.layout
    secrets = list(json.loads(layout.secrets.read_text()).values())
    files = [layout.secrets, layout.units, layout.folder / "clouds.yaml"]
    files += [*layout.folder.glob("*-openrc.sh"), layout.logs, layout.run]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in files)
    for path in layout.config.rglob("*"):
        if path.is_file() and any(secret in path.read_text() for secret in secrets):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for entry in members(lab_cloud):
        line = (entry / "cmdline").read_bytes().decode(errors="replace")
        assert not any(secret in line for secret in secrets), line


def test_openrc_works_in_a_plain_shell(lab_cloud: LabCloud) -> None:
    """It must not prompt."""
    layout = lab_cloud.layout
    script = (
        f"set -eu; source {layout.folder}/demo-openrc.sh; {layout.bin('openstack')} token issue"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    done = subprocess.run(
        ["bash", "-c", script],
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_second_up_waits_for_the_first(lab_cloud: LabCloud) -> None:
    with lock.hold(lab_cloud.layout.lock, "scripts/lab up", print):
        second = subprocess.Popen(
            [sys.executable, str(SCRIPT), "up", *lab_cloud.flags], stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        waiting = second.stderr.readline()
        assert f"Waiting for `scripts/lab up` (process {os.getpid()})" in waiting
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(2)
    assert second.wait(120) == 0, second.stderr.read()


def test_addresses_in_use_are_refused(lab_cloud: LabCloud, tmp_path: Path) -> None:
    refused = lab_cloud.lab(
        "up",
        "--folder",
        str(tmp_path / "lab"),
        "--hypervisor",
        "fake",
        "--network",
        str(lab_cloud.layout.settings.network),
    )
    assert refused.code == 1
    assert "in use on this machine" in refused.errors and "--network" in refused.errors
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("verb", ["status", "logs"])
def test_without_a_lab_the_command_names_the_remedy(
    verb: str, lab_cloud: LabCloud, tmp_path: Path
) -> None:
    ended = lab_cloud.lab(verb, "--folder", str(tmp_path / "none"))
    assert ended.code == 3
    assert "scripts/lab up" in ended.output + ended.errors
