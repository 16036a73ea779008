"""autoscale, and the repair of silent worker VMs, on the fake hypervisor.

Its guests do not boot, so an `ssh` that answers from files stands for the front end.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openstack_client.deploy.run import Options
from tests.lab.deploy import conftest
from tests.lab.deploy.test_deploy_interrupted import end
from tests.lab.deploy.worker_vms import NAME, Team, deployed
from tests.support.faulty_network import EVER, FaultyNetwork
from tests.support.lab_project import Project
from tests.support.ssh_program import AnsweringSsh

# Each test scales at least once; together they take minutes.
pytestmark = pytest.mark.long

KEYS = "STACKSERVE-HOSTKEY ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHRlc3Q=\n"
WORKED = "STACKSERVE stage=ready state=done t=90.00\n"
BUSY, IDLE = {"wait_seconds": 2.0, "busy": 0.95}, {"wait_seconds": 0.01, "busy": 0.01}


@pytest.fixture(scope="module")
def network() -> Iterator[FaultyNetwork]:
    with conftest.faulty_network() as network:
        yield network


@pytest.fixture(scope="module")
def made(
    project: Project, network: FaultyNetwork, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Team]:
    """A deployment with one worker VM."""
    with deployed(project, network, tmp_path_factory.mktemp("team"), 1) as (team, _):
        yield team


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnsweringSsh:
    return AnsweringSsh(tmp_path, monkeypatch)


@pytest.fixture
def team(
    made: Team, network: FaultyNetwork, ssh: AnsweringSsh, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    """The same, without delays, and left as it was."""
    network.rule(conftest.CONSOLE, times=EVER, change=console(KEYS, conftest.HAS_CODE))
    for name in ("GROW_AFTER", "SHRINK_AFTER", "COOL_DOWN"):
        monkeypatch.setattr(f"openstack_client.plan.autoscale.{name}", 0.0)
    monkeypatch.setattr("openstack_client.cli.team.OPTIONS", Options(wait=False, drain=False))
    monkeypatch.setattr("openstack_client.cli.silent.PATIENCE", 0.2)
    monkeypatch.setattr("openstack_client.deploy.silent.ASK_EVERY", 0.1)
    connect(ssh, "worker-1", "worker-2", "worker-3")
    ssh.answer("remove")
    yield made
    network.clear()
    for file in made.launcher.folder.rglob("autoscale/*"):
        file.unlink()
    if set(made.servers) != {"", "worker-1"}:
        made.scale(1, "--take-over")


def console(*lines: str) -> Callable[[Any], Any]:
    def change(answer: Any) -> Any:
        return {"output": answer["output"] + "\n" + "".join(lines)}

    return change


def connect(ssh: AnsweringSsh, *names: str) -> None:
    ssh.answer("list", json.dumps([{"name": name, "connected": True} for name in names]))


def figures(ssh: AnsweringSsh, workers: int, load: dict[str, float]) -> None:
    none = {"chunks": 0, "jobs_seconds": 0.0, "silent": 0}
    ssh.answer("load", json.dumps({**none, **load, "workers": workers}))


def once(team: Team, *flags: str, code: int = 0) -> dict[str, Any]:
    """One run of cron; its decision."""
    arguments = ("autoscale", "--once", "--json", "--min", "1", "--max", "2", *flags)
    ended = team.launcher.run(*arguments)
    assert ended.exit_code == code, team.launcher.words(ended)
    decision: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return decision


def test_it_grows_with_the_load_and_shrinks_without(team: Team, ssh: AnsweringSsh) -> None:
    front = team.ids[""]
    figures(ssh, 1, BUSY)
    assert once(team)["kind"] == "hold"
    assert once(team)["worker_vms"] == 2
    assert set(team.servers) == {"", "worker-1", "worker-2"}
    figures(ssh, 2, BUSY)
    once(team)
    assert "2 is the most" in once(team)["reason"]
    figures(ssh, 2, IDLE)
    kinds = [once(team)["kind"] for _ in range(2)]
    assert kinds == ["hold", "shrink"]
    assert set(team.servers) == {"", "worker-1"} and team.ids[""] == front
    assert len(team.ports) == 2 and ssh.asked[-1] == "remove worker-2"


def test_one_that_was_deleted_by_hand_is_replaced(team: Team, ssh: AnsweringSsh) -> None:
    own, before = team.project.connection().compute, team.ids["worker-1"]
    own.delete_server(before)
    own.wait_for_delete(own.get_server(before), interval=0.3, wait=30)
    figures(ssh, 0, IDLE)
    decision = once(team)
    assert (decision["kind"], decision["reason"]) == ("repair", "worker-1 is gone")
    assert team.ids["worker-1"] != before


def test_it_does_not_undo_what_somebody_else_does(team: Team, ssh: AnsweringSsh) -> None:
    figures(ssh, 1, IDLE)
    assert once(team)["kind"] == "hold"
    team.scale(3)
    for _ in range(3):
        decision = once(team)
        assert decision["kind"] == "respect" and decision["worker_vms"] == 3
    assert len(team.servers) == 4


def test_it_waits_while_another_run_is_at_work(team: Team, ssh: AnsweringSsh) -> None:
    figures(ssh, 1, BUSY)
    once(team)
    own = team.project.connection().network
    port = own.get_port(team.ports[team.ids[""]])
    theirs = f"stackserve-holds-00ff00ff-{int(time.time())}"
    port.add_tag(own, theirs)
    try:
        assert once(team)["kind"] == "wait"
    finally:
        port.remove_tag(own, theirs)
    assert set(team.servers) == {"", "worker-1"}


def test_without_figures_it_changes_nothing(team: Team) -> None:
    error = once(team, code=6)
    assert "Connection timed out" in error["message"]
    assert set(team.servers) == {"", "worker-1"}


def test_a_quota_is_said_and_left(team: Team, ssh: AnsweringSsh) -> None:
    figures(ssh, 1, BUSY)
    once(team)
    with team.project.quota(instances=2):
        error = once(team, code=4)
    assert "1 more servers needed, 0 left" in json.dumps(error)
    assert set(team.servers) == {"", "worker-1"}


def test_ctrl_c_leaves_everything_as_it_is(team: Team, ssh: AnsweringSsh) -> None:
    figures(ssh, 1, IDLE)
    before = team.ids
    process = team.launcher.start_verb("autoscale", "--min", "1", "--max", "2")
    assert process.stdout is not None
    assert any("Keeping 1 to 2 worker VMs." in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    assert "Stopped. All worker VMs stay as they are." in end(process)
    assert process.returncode == 0 and team.ids == before


def test_a_deployment_that_does_not_exist(team: Team) -> None:
    ended = team.launcher.run("autoscale", "--min", "0", "--max", "1", "nope")
    assert "No deployment named 'nope'" in team.words(ended, 10)


# Silent worker VMs


def test_a_silent_one_is_named_by_plan_and_replaced_by_scale(
    team: Team, ssh: AnsweringSsh, network: FaultyNetwork
) -> None:
    network.rules.clear()
    network.rule(conftest.CONSOLE, times=EVER, change=console(KEYS, conftest.HAS_CODE, WORKED))
    before = team.ids
    connect(ssh)
    planned = team.json("plan")
    assert "worker-1: not connected to the server; `scale` replaces it" in planned["warnings"][-1]
    assert {item["action"] for item in planned["items"]} == {"found"}
    words = team.scale()
    assert "Waiting up to 0 s for worker-1: not connected." in words
    assert f"replace server {NAME}-worker-1" in words
    assert "was ACTIVE (not connected to the server)" in words
    after = team.ids
    assert after[""] == before[""] and after["worker-1"] != before["worker-1"]


def test_one_that_is_being_set_up_is_not_silent(team: Team, ssh: AnsweringSsh) -> None:
    before = team.ids
    connect(ssh)
    assert "not connected" not in json.dumps(team.json("plan"))
    team.scale()
    assert team.ids == before
