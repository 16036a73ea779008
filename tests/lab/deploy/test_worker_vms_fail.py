"""What goes wrong with several servers: nothing is left, or something that can be resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.lab.deploy import conftest
from tests.lab.deploy.test_deploy_interrupted import end
from tests.lab.deploy.worker_vms import NAME, QUICK, Team, deployed
from tests.support.faulty_network import EVER, FaultyNetwork
from tests.support.lab_project import Project

# Each test scales several times; together they take minutes.
pytestmark = pytest.mark.long

SERVER_POST = r"POST \S+/servers$"
SERVER_GET = r"GET \S+/servers/[0-9a-f-]{36}$"


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
def team(made: Team, network: FaultyNetwork) -> Iterator[Team]:
    """The same, which each test leaves as it was."""
    yield made
    network.clear()
    if set(made.servers) != {"", "worker-1"}:
        made.scale(1, "--take-over")


def in_error(answer: Any, number: int) -> Any:
    if answer["server"]["name"].endswith(f"-{number}"):
        fault = {"code": 500, "message": "Exceeded maximum number of retries.", "created": ""}
        answer["server"].update({"status": "ERROR", "fault": fault})
    return answer


# Before anything is created


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"instances": 3}, "quota of servers: 2 more servers needed, 1 left (2 of 3 in use)"),
        ({"cores": 6}, "quota of cores: 4 more cores needed, 2 left"),
        ({"port": 4}, "quota of ports: 2 more ports needed, 1 left"),
    ],
    ids=["servers", "cores", "ports"],
)
def test_a_quota_for_one_of_two(team: Team, limits: dict[str, int], words: str) -> None:
    before = team.project.leftovers()
    with team.project.quota(**limits):
        assert words in team.scale(3, code=4)
    assert team.project.leftovers() == before


# While they are created


def test_the_quota_is_exceeded_by_the_second_of_two(team: Team, network: FaultyNetwork) -> None:
    before = team.project.leftovers()
    body = json.dumps({"forbidden": {"message": "Quota exceeded for instances: Requested 1"}})
    network.rule(SERVER_POST, after=1, status=403, body=body)
    words = team.scale(3, code=5)
    assert "quota exceeded" in words and "Everything this run created was deleted." in words
    assert team.project.leftovers() == before


def test_one_in_error_takes_only_the_new_ones_with_it(team: Team, network: FaultyNetwork) -> None:
    before = team.project.leftovers()
    network.rule(SERVER_GET, times=EVER, change=partial(in_error, number=3))
    words = team.scale(3, code=6)
    assert f"Server '{NAME}-worker-3' is in ERROR. Nova says: Exceeded maximum" in words
    assert "Everything this run created was deleted." in words
    assert team.project.leftovers() == before


def test_one_in_error_that_is_kept_is_replaced_later(team: Team, network: FaultyNetwork) -> None:
    network.rule(SERVER_GET, times=EVER, change=partial(in_error, number=3))
    assert "Keeping the created resources (--keep)" in team.scale(3, "--keep", code=6)
    made, network.rules[:] = team.ids, []
    team.project.admin.compute.reset_server_state(made["worker-3"], "error")
    assert f"replace server {NAME}-worker-3" in team.scale(3)
    now = team.ids
    assert now["worker-2"] == made["worker-2"] and now["worker-3"] != made["worker-3"]


def test_a_lost_answer_creates_nothing_twice(team: Team, network: FaultyNetwork) -> None:
    network.rule(SERVER_POST, times=2, reset="after")
    assert "retrying" in team.scale(3)
    assert set(team.servers) == {"", "worker-1", "worker-2", "worker-3"}
    assert len(list(team.project.connection().compute.servers())) == 4


def test_someone_deletes_one_meanwhile(team: Team, network: FaultyNetwork) -> None:
    own = team.project.connection().compute

    def delete() -> None:
        victim = team.servers["worker-2"]
        own.delete_server(victim)
        own.wait_for_delete(victim, interval=0.3, wait=30)

    network.rule(SERVER_GET, call=delete, after=2)
    before = team.project.leftovers()
    assert "was deleted by someone else" in team.scale(2, code=6)
    assert team.project.leftovers() == before


# Stopped


def stopped(team: Team, network: FaultyNetwork, number: int, at: str, **more: Any) -> str:
    """Stop `scale` by a signal at a request, and return its output."""
    started: list[subprocess.Popen[str]] = []
    network.rule(at, call=lambda: os.kill(started[0].pid, number), **more)
    started.append(team.launcher.start_verb("scale", *QUICK, "--worker-vms", "4"))
    words = end(started[0])
    network.clear()
    assert started[0].returncode == (130 if number == signal.SIGINT else -number), words
    return words


@pytest.mark.parametrize("at", [SERVER_POST, SERVER_GET], ids=["requested", "building"])
def test_ctrl_c_while_three_build_leaves_nothing(
    team: Team, network: FaultyNetwork, at: str
) -> None:
    before = team.project.leftovers()
    words = stopped(team, network, signal.SIGINT, at)
    assert "Everything this run created was deleted." in words
    assert team.project.leftovers() == before


def test_half_made_and_resumed(team: Team, network: FaultyNetwork) -> None:
    """The launcher is killed while it requests three servers."""
    stopped(team, network, signal.SIGKILL, SERVER_POST)
    before = team.ids
    assert "--take-over ends it now" in team.scale(4, code=9)
    team.scale(4, "--take-over")
    assert set(team.servers) == {"", *(f"worker-{number}" for number in range(1, 5))}
    assert before.items() <= team.ids.items()


def test_two_scales_at_once(team: Team) -> None:
    both = [
        team.launcher.start_verb("scale", *QUICK, "--worker-vms", count) for count in ("2", "3")
    ]
    words = [end(process) for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 9], words
    assert "Another deploy of 'stackserve' is running" in words[codes.index(9)]
    assert len(team.servers) == (3 if codes[0] == 0 else 4)


# Names and server groups


def test_a_server_of_the_same_name_is_somebody_elses(team: Team) -> None:
    own = team.project.connection()
    port = own.network.create_port(name=f"{NAME}-worker-2", network_id=team.project.network)
    mine = own.compute.get_server(team.ids["worker-1"])
    theirs = own.compute.create_server(
        name=f"{NAME}-worker-2",
        flavor_id=own.compute.find_flavor("service.small").id,
        image_id=mine.image.id,
        networks=[{"port": port.id}],
    )
    own.compute.wait_for_server(theirs, interval=0.3, wait=60)
    team.scale(2)
    names = [server.name for server in own.compute.servers()]
    assert names.count(f"{NAME}-worker-2") == 2
    team.scale(1)
    assert own.compute.get_server(theirs.id).status == "ACTIVE"
    own.compute.delete_server(theirs)
    own.compute.wait_for_delete(theirs, interval=0.3, wait=30)
    own.network.delete_port(port)


def test_a_strict_policy_that_cannot_be_kept(team: Team) -> None:
    """The lab has one fake hypervisor, so the policy leaves room for one worker VM."""
    team.scale(0)
    own = team.project.connection().compute
    strict = own.create_server_group(name=NAME, policies=["anti-affinity"])
    try:
        words = team.scale(2, code=6)
        assert "has the policy anti-affinity" in words
        # The first if Nova places one after the other, the second if both at the same time.
        refusals = ("No valid host was found", "Exceeded maximum number of retries")
        assert any(refusal in words for refusal in refusals), words
        assert set(team.servers) == {""}
    finally:
        own.delete_server_group(strict)
    team.scale(1)


def test_a_server_group_that_others_use_is_kept(team: Team) -> None:
    own = team.project.connection()
    (group,) = team.server_groups
    port = own.network.create_port(name="other", network_id=team.project.network)
    other = own.compute.create_server(
        name="other",
        flavor_id=own.compute.find_flavor("service.small").id,
        image_id=own.compute.get_server(team.ids["worker-1"]).image.id,
        networks=[{"port": port.id}],
        scheduler_hints={"group": group.id},
    )
    own.compute.wait_for_server(other, interval=0.3, wait=60)
    words = team.scale(0)
    assert f"server group {NAME}: kept, because it has other servers too" in words
    own.compute.delete_server(other)
    own.compute.wait_for_delete(other, interval=0.3, wait=30)
    own.network.delete_port(port)
    team.scale(1)
    assert [entry.id for entry in team.server_groups] == [group.id]


# A new deployment


def test_one_of_three_in_error_leaves_nothing_of_a_new_deployment(
    team: Team, network: FaultyNetwork
) -> None:
    network.rule(SERVER_GET, times=EVER, change=partial(in_error, number=2))
    before = team.project.leftovers()
    arguments = ("deploy", "other", "--no-wait", "--worker-vms", "2")
    words = team.words(team.launcher.run(*arguments), 6)
    assert "'stackserve-other-worker-2' is in ERROR" in words
    assert team.project.leftovers() == before
