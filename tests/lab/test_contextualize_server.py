"""A server in a real guest, from first boot to reboot: QEMU with the lab's image, no OpenStack."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import httpx
import pytest

from openstack_client.userdata import UserData
from tests.lab.contextualized import (
    PATIENCE,
    UNITS,
    ask,
    delivered,
    lab_image,
    reboot,
    render,
)
from tests.support.guest import Guest, free_ports
from tests.support.rows import PATIENT, shipped
from tests.support.tables import (
    check_result,
    csv_body,
    follow,
    keras_probabilities,
    submit,
    table,
    wait_for_chunks,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

STAGES = ["booting", "packages", "dependencies", "code", "rabbitmq", "model", "ready"]
# Enough to keep an emulated worker busy until the reboot stops it.
JOB_ROWS = 400_000
# Prints the broker's password, the only secret that matters after boot.
PASSWORD = "sudo sed -n 's#.*amqp://stackserve:\\([^@]*\\)@.*#\\1#p' /etc/stackserve/server.env"


@pytest.fixture(scope="module")
def port() -> int:
    """The same port in the guest and on this machine, so that a worker reaches the web tier."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def user_data(port: int) -> UserData:
    return render(port=port)


@pytest.fixture(scope="module")
def server(
    needs: Callable[[object, str], None],
    tmp_path_factory: pytest.TempPathFactory,
    user_data: UserData,
    port: int,
) -> Iterator[Guest]:
    guest = Guest(
        tmp_path_factory.mktemp("server"),
        lab_image(needs),
        user_data.data,
        port=port,
        http_port=port,
        more_ports=(5671,),
    )
    with delivered(guest, user_data):
        guest.wait_for("ready", "done", PATIENCE)
        yield guest


def test_every_stage_begins_and_ends_in_order(server: Guest) -> None:
    markers = server.markers()
    for state in ("begin", "done"):
        assert {marker.stage for marker in markers if marker.state == state} == set(STAGES)
    by_name = {(marker.stage, marker.state): marker.t for marker in markers}
    assert by_name["packages", "done"] <= by_name["rabbitmq", "begin"]
    assert by_name["ready", "done"] == max(by_name.values())
    # In parallel, not one after the other.
    assert by_name["dependencies", "begin"] < by_name["packages", "done"]


def test_it_predicts_and_reports_the_code_on_disk(server: Guest, user_data: UserData) -> None:
    assert ask(server, "/ready")["ready"] is True
    assert ask(server, "/alive")["code_hash"] == user_data.code_hash
    answer = ask(server, "/predict", PATIENT)
    assert 0 < answer["predictions"][0]["probability"] < 1


def test_cloud_init_reports_no_errors(server: Guest) -> None:
    status = json.loads(server.ssh("cloud-init status --wait --format json || true", timeout=600))
    assert (status["status"], status["errors"]) == ("done", [])


def test_the_units_are_healthy_and_hardened(server: Guest) -> None:
    for unit in UNITS:
        shown = server.ssh(
            f"systemctl show {unit} -p ActiveState,NRestarts,MemoryMax,MemorySwapMax,UnitFileState"
        )
        values = dict(line.split("=", 1) for line in shown.splitlines())
        assert values["ActiveState"] == "active", unit
        assert values["NRestarts"] == "0", unit
        assert values["UnitFileState"] == "enabled", unit
        assert "infinity" not in (values["MemoryMax"], values["MemorySwapMax"]), unit
        shown = server.ssh(f"systemctl show {unit} -p User,NoNewPrivileges,ProtectSystem,Restart")
        ours = unit != "rabbitmq-server"
        assert set(shown.split()) == {
            "User=stackserve" if ours else "User=rabbitmq",
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "Restart=always" if ours else "Restart=on-failure",
        }
    assert server.ssh("systemctl --failed --no-legend") == ""
    assert "escape sequence" not in server.ssh("sudo journalctl --boot --no-pager _PID=1")


def test_an_upgrade_of_rabbitmq_keeps_its_settings(server: Guest) -> None:
    shows = "systemctl show rabbitmq-server -p MainPID,ActiveState,FragmentPath,UnitFileState"
    before = server.ssh(shows).split()
    options = "-q -y -o DPkg::Lock::Timeout=300 --reinstall"
    server.ssh(f"sudo DEBIAN_FRONTEND=noninteractive apt-get {options} install rabbitmq-server")
    after = server.ssh(shows).split()
    assert before[0] != after[0], "the package did not restart it"
    assert before[1:] == after[1:]
    assert "FragmentPath=/etc/systemd/system/rabbitmq-server.service" in after
    # What the package's scripts need to know at the next upgrade.
    state = "/var/lib/systemd/deb-systemd-helper-enabled/rabbitmq-server.service.dsh-also"
    server.ssh(f"test -s {state}")


def test_a_killed_worker_is_restarted(server: Guest) -> None:
    server.ssh("sudo systemctl kill --signal=KILL stackserve-worker@1")
    deadline = time.monotonic() + 300
    while server.ssh("systemctl show -p NRestarts --value stackserve-worker@1").strip() == "0":
        assert time.monotonic() < deadline
        time.sleep(2)
    server.ssh("systemctl is-active stackserve-worker@1")


def test_only_ssh_and_the_service_can_be_reached_from_outside(server: Guest, port: int) -> None:
    lines = server.ssh("sudo ss -Hltn").splitlines()
    sockets = [line.split()[3].rsplit(":", 1) for line in lines]
    local = ("127.", "[::1]")
    resolver = "5355"  # systemd-resolved, part of the image
    outside = {number for address, number in sockets if not address.startswith(local)}
    assert outside - {resolver} == {"22", str(port)}


def test_rabbitmq_has_one_account_that_is_not_guest(server: Guest) -> None:
    assert server.ssh("sudo rabbitmqctl -q list_users --no-table-headers").split() == [
        "stackserve",
        "[]",
    ]
    assert server.ssh("sudo rabbitmqctl -q list_vhosts --no-table-headers").split() == [
        "stackserve"
    ]
    assert "rabbit@localhost" in server.ssh("sudo rabbitmqctl -q status")


def test_other_users_can_read_no_secret(server: Guest, user_data: UserData) -> None:
    password = server.ssh(PASSWORD).strip()
    assert len(password) > 30
    assert password not in user_data.text
    server.ssh(f"umask 022; {PASSWORD} | sudo tee /run/secret.txt > /dev/null")
    server.ssh("sudo chmod 0644 /run/secret.txt")
    places = "/etc /opt /var /run /tmp /home /proc/[0-9]*/environ /proc/[0-9]*/cmdline"
    found = server.ssh(
        f"sudo -u nobody grep -rlsF -f /run/secret.txt --exclude=secret.txt {places} || true",
        timeout=900,
    )
    assert found.split() == []
    # The same search as root finds it, so the search above works.
    sought = server.ssh(
        "sudo grep -rlsF -f /run/secret.txt /etc/stackserve; sudo rm /run/secret.txt"
    )
    assert sought.split() == ["/etc/stackserve/server.env"]
    for secret in (
        "/etc/stackserve/server.env",
        "/etc/rabbitmq/stackserve-definitions.json",
        "/var/lib/rabbitmq/.erlang.cookie",
        "/var/lib/cloud/instance/user-data.txt",
        "/var/lib/stackserve/jobs.sqlite3",
    ):
        kept = server.ssh(
            f"sudo -u nobody cat {secret} 2>&1 || sudo test -e {secret} && echo there"
        )
        assert "Permission denied" in kept, secret
        assert "there" in kept, secret


def test_logs_are_limited_and_updates_are_enabled(server: Guest) -> None:
    assert "SystemMaxUse=200M" in server.ssh("systemd-analyze cat-config systemd/journald.conf")
    timers = "apt-daily-upgrade.timer logrotate.timer"
    assert server.ssh(f"systemctl is-enabled {timers}").split() == ["enabled", "enabled"]
    assert server.ssh(f"systemctl is-active {timers}").split() == ["active", "active"]


def test_a_worker_vm_joins_and_predicts(
    server: Guest,
    port: int,
    needs: Callable[[object, str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The guests reach each other through this machine's address in their user networks."""
    host = "10.0.2.2"
    rendered = render(role="worker", name="w1", port=port, workers=1)
    worker = Guest(
        tmp_path_factory.mktemp("worker"),
        lab_image(needs),
        rendered.data,
        port=port,
        memory_mb=1536,
    )
    with worker:
        ticket = json.loads(server.ssh(f"sudo stackserve-workers add w1 --host {host}"))
        ticket["port"] = server.forwards[5671]
        worker.wait_for("code", "begin", PATIENCE)
        worker.ssh("sudo stackserve-deliver ticket", given=json.dumps(ticket).encode())
        worker.ssh("sudo stackserve-deliver code", given=rendered.payload, timeout=PATIENCE)
        worker.wait_for("ready", "done", PATIENCE)
        (listed,) = json.loads(server.ssh("sudo stackserve-workers list"))
        assert (listed["name"], listed["connected"], listed["processes"]) == ("w1", True, 1)
        assert listed["versions"] and listed["last_heard"]
        load = json.loads(server.ssh("sudo stackserve-workers load", timeout=PATIENCE))
        assert load["processes"] >= 2 and load["chunks"] == 0
        assert (listed["taking_tasks"], listed["missing"]) == (1, {})
        # Without the server's worker, only the other VM can predict.
        server.ssh("sudo systemctl stop stackserve-worker@1")
        assert ask(server, "/predict", PATIENT)["predictions"]
        server.ssh("sudo systemctl start stackserve-worker@1")
        # It has little memory, so it has a swap file, unlike the server.
        assert "/swap.stackserve" in worker.ssh("cat /proc/swaps")
        assert "/swap.stackserve" not in server.ssh("cat /proc/swaps")
        for secret in ("/etc/stackserve/server.env", "/etc/stackserve/ticket.json"):
            refused = worker.ssh(f"sudo -u nobody cat {secret} 2>&1 || true")
            assert "Permission denied" in refused
        assert ticket["password"] not in worker.console()
        server.ssh("sudo stackserve-workers drain w1", timeout=PATIENCE)
        server.ssh("sudo stackserve-workers remove w1", timeout=PATIENCE)
        assert json.loads(server.ssh("sudo stackserve-workers list")) == []


def test_a_reboot_during_a_job_loses_no_rows(server: Guest) -> None:
    registry, card = shipped()
    values = table(card, JOB_ROWS)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.http_port}", timeout=300) as client:
        job = submit(client, csv_body(card, values))["id"]
        wait_for_chunks(client, job, 2, PATIENCE)
        reboot(server)
        ended = follow(client, job, PATIENCE)
        assert (ended["state"], ended["rows_done"]) == ("done", JOB_ROWS)
        assert datetime.fromisoformat(ended["finished"]).timestamp() > booted(server)
        check_result(client, job, keras_probabilities(registry, card, values))
    # Nothing was installed again.
    assert [marker.stage for marker in server.markers()].count("packages") == 2
    for unit in UNITS:
        assert server.ssh(f"systemctl is-active {unit}").strip() == "active"


def booted(guest: Guest) -> float:
    """When the guest booted, by its clock."""
    now, uptime = guest.ssh("date +%s.%N; cut -d ' ' -f 1 /proc/uptime").split()
    return float(now) - float(uptime)
