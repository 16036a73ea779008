"""A deployment with worker VMs: what it consists of, and how it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from openstack_client.cloud.own_address import route_to
from tests.lab.deploy import conftest
from tests.lab.deploy.worker_vms import NAME, Team, deployed
from tests.support.faulty_network import FaultyNetwork
from tests.support.lab_project import Project


@pytest.fixture(scope="module")
def made(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Team, list[dict[str, object]]]]:
    """A deployment with two worker VMs, and the events of its deploy."""
    folder = tmp_path_factory.mktemp("team")
    with conftest.faulty_network() as network, deployed(project, network, folder, 2) as found:
        yield found


@pytest.fixture
def team(made: tuple[Team, list[dict[str, object]]], faults: FaultyNetwork) -> Team:
    """The deployment, with both worker VMs."""
    team = made[0]
    if set(team.servers) != {"", "worker-1", "worker-2"}:
        team.scale(2)
    return team


def test_each_server_has_its_own_line(made: tuple[Team, list[dict[str, object]]]) -> None:
    team, events = made
    done = [(e.get("server", ""), e["stage"]) for e in events if e.get("state") == "done"]
    for part in ("", "worker-1", "worker-2"):
        own = [stage for name, stage in done if name == part]
        assert own[:3] == ["requested", "building", "active"]
    # All are requested before any is awaited.
    assert {stage for _, stage in done[:3]} == {"requested"}
    result = events[-1]
    assert result["server"] == team.ids[""]
    assert [(w["name"], w["server"], w["ready"]) for w in result["workers"]] == [
        ("worker-1", team.ids["worker-1"], False),
        ("worker-2", team.ids["worker-2"], False),
    ]


def test_only_the_front_end_has_a_floating_ip(team: Team) -> None:
    (address,) = team.project.connection().network.ips(project_id=team.project.id)
    assert address.port_id == team.ports[team.ids[""]]


def here(team: Team) -> str:
    """This machine, as the servers see it."""
    (address,) = team.project.connection().network.ips(project_id=team.project.id)
    route = route_to(address.floating_ip_address)
    assert route is not None
    return f"{route.own}/32"


def test_the_broker_admits_the_workers_alone_and_they_the_front_end_alone(team: Team) -> None:
    front, workers = team.groups[""], team.groups["worker"]
    assert team.admitted("") == {(5100, "0.0.0.0/0"), (22, here(team)), (5671, workers.id)}
    assert team.admitted("worker") == {(22, front.id)}
    own = team.project.connection().network
    for part, group in {"": front, "worker-1": workers, "worker-2": workers}.items():
        assert own.get_port(team.ports[team.ids[part]]).security_group_ids == [group.id]


def test_workers_are_spread_over_hypervisors(team: Team) -> None:
    (group,) = team.server_groups
    assert group.name == NAME and group.policy == "soft-anti-affinity"
    assert set(group.member_ids) == {team.ids["worker-1"], team.ids["worker-2"]}


def test_status_and_list_show_them(team: Team) -> None:
    shown = team.json("status", "--no-ssh")
    assert shown["server_id"] == team.ids[""]
    assert [(w["name"], w["status"]) for w in shown["workers"]] == [
        ("worker-1", "ACTIVE"),
        ("worker-2", "ACTIVE"),
    ]
    (row,) = team.json("list")
    assert row["servers"] == 3 and row["status"] == "ACTIVE"
    assert row["address"].startswith("172.24.4.")
    assert "worker-2" in team.words(team.launcher.run("status", "--no-ssh"), 11)


def test_logs_and_ssh_of_one_of_them(team: Team) -> None:
    for worker in ("worker-1", "1"):
        assert "FAKE CONSOLE OUTPUT" in team.launcher.run("logs", "--worker", worker).stdout
    words = team.words(team.launcher.run("ssh", "--worker", "worker-9"), 10)
    assert "has no worker VM 'worker-9'. It has: worker-1, worker-2." in words
    assert "does not show the host key" in team.words(
        team.launcher.run("ssh", "--worker", "worker-1"), 6
    )


def test_a_second_deploy_changes_nothing(team: Team) -> None:
    before = team.project.leftovers()
    ended = team.launcher.run("deploy", "--no-wait", "--json")
    plan = json.loads(ended.stdout.splitlines()[0])
    assert ended.exit_code == 0 and {item["action"] for item in plan["items"]} == {"found"}
    assert team.project.leftovers() == before


def test_scaling_at_the_same_number_repairs(team: Team) -> None:
    """One was deleted by hand, the other is in ERROR."""
    before, ports = team.ids, team.ports
    own = team.project.connection().compute
    own.delete_server(before["worker-1"])
    own.wait_for_delete(own.get_server(before["worker-1"]), interval=0.3, wait=30)
    team.project.admin.compute.reset_server_state(before["worker-2"], "error")
    shown = {row["name"]: row["status"] for row in team.json("status", "--no-ssh")["workers"]}
    assert shown == {"worker-1": "missing", "worker-2": "ERROR"}
    words = team.scale()
    assert "create server stackserve-stackserve-worker-1" in words
    assert "replace server stackserve-stackserve-worker-2" in words
    after = team.ids
    assert after[""] == before[""]
    for part in ("worker-1", "worker-2"):
        assert after[part] != before[part]
        assert team.ports[after[part]] == ports[before[part]]
    assert set(team.server_groups[0].member_ids) == {after["worker-1"], after["worker-2"]}


def test_removing_one_needs_a_yes(team: Team) -> None:
    before = team.ids
    asked = team.launcher.run("scale", "--no-wait", "--worker-vms", "1")
    words = team.words(asked, 2)
    assert f"Removing: {NAME}-worker-2." in words and "Add --yes" in words
    assert team.ids == before


def test_new_ones_need_the_code_of_the_front_end(team: Team) -> None:
    own = team.project.connection().compute
    front = own.get_server(team.ids[""])
    code = front.metadata["stackserve_code"]
    own.set_server_metadata(front, stackserve_code="01dc0de")
    try:
        words = team.scale(3, code=4)
    finally:
        own.set_server_metadata(front, stackserve_code=code)
    assert "has the code 01dc0de; new worker VMs would get" in words
    assert set(team.servers) == {"", "worker-1", "worker-2"}


def test_a_deployment_that_does_not_exist_is_not_scaled(team: Team) -> None:
    ended = team.launcher.run("scale", "nope", "--worker-vms", "1")
    assert "No deployment named 'nope'" in team.words(ended, 10)


def test_none_leave_nothing_of_those_removed(team: Team) -> None:
    front = team.ids[""]
    team.scale(0)
    assert team.ids == {"": front} and set(team.groups) == {""}
    assert team.server_groups == [] and len(team.ports) == 1
    assert team.admitted("") == {(5100, "0.0.0.0/0"), (22, here(team))}


def test_scaling_does_not_change_who_may_connect(
    made: tuple[Team, list[dict[str, object]]],
) -> None:
    """Its flags are not those of the deploy."""
    team = made[0]
    team.scale(2, "--allow-from", "192.0.2.0/24", "--floating-ip", "none")
    assert (5100, "0.0.0.0/0") in team.admitted("")
    assert len(list(team.project.connection().network.ips(project_id=team.project.id))) == 1


def test_delete_removes_all_of_them(team: Team) -> None:
    """The last test: it needs no other deployment."""
    words = team.words(team.launcher.run("delete", "--yes"))
    for name in (f"server {NAME}-worker-2", f"server group {NAME}", f"group {NAME}-worker"):
        assert f"{name}: deleted" in words
    assert team.project.leftovers() == []
    assert not list(team.launcher.folder.rglob("known_hosts/*"))
