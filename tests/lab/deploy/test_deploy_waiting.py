"""Waiting for a server that never becomes ready: what is missing, and what failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.deploy.conftest import CONSOLE, HAS_CODE, Launcher
from tests.support.faulty_network import EVER, FaultyNetwork
from tests.support.lab_project import Project

BOOTED = "STACKSERVE stage=booting state=begin t=9.00\nSTACKSERVE stage=booting state=done t=12.0\n"
KEY = "STACKSERVE-HOSTKEY ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostKey\n"


@pytest.fixture
def up(launcher: Launcher, nothing_left: Callable[[], None]) -> Launcher:
    """An ACTIVE server on which nothing ever answers."""
    ended = launcher.run("deploy", "--no-wait")
    assert ended.exit_code == 0, launcher.words(ended)
    return launcher


def shows(faults: FaultyNetwork, text: str) -> None:
    """Make the console show `text`."""
    faults.rule(CONSOLE, times=EVER, change=lambda answer: {"output": text})


def wait(launcher: Launcher, code: int, *flags: str) -> str:
    ended = launcher.run("deploy", "--timeout-ready", "1", *flags)
    words = launcher.words(ended)
    assert ended.exit_code == code, words
    return words


def test_waiting(up: Launcher, faults: FaultyNetwork, project: Project) -> None:
    """One server, many consoles: a server for each would take minutes."""
    nothing_seen(up, faults)
    code_not_delivered(up, faults)
    a_stage_is_missing(up, faults)
    a_step_failed(up, faults)
    a_reboot_after_the_failure(up, faults)
    ready_but_not_reachable(up, faults)
    no_console(up, faults, project)
    stopped_meanwhile(up, faults)
    ssh_to_a_stopped_server(up, faults)
    the_server_stays(up, project)
    host_key_for_ssh(up, faults, project)


def nothing_seen(up: Launcher, faults: FaultyNetwork) -> None:
    shows(faults, "LAST LINE\n")
    words = wait(up, 8)
    faults.clear()
    assert "No prediction after 1 s. Missing: the console has not shown any stage yet" in words
    assert "Last line of the console: 'LAST LINE'" in words
    assert "Run the command again to keep waiting, or log in: ssh -i" in words


def code_not_delivered(up: Launcher, faults: FaultyNetwork) -> None:
    """It is reported, `status` shows it later, and the same command continues."""
    shows(faults, BOOTED + "STACKSERVE stage=code state=begin t=13.0\n")
    words = wait(up, 8, "--no-wait")
    assert "Code not delivered after 1 s. Missing: code in progress" in words
    assert "its code: the console has not shown its host key" in words
    assert "Keeping the created resources. Run the same command to continue" in words
    shown = up.run("status", "--no-ssh")
    assert shown.exit_code == 11
    assert "waiting for its code (run `deploy` to send it)" in up.words(shown)
    assert "`deploy stackserve` finishes it or keeps waiting" in up.words(shown)
    faults.clear()
    shows(faults, BOOTED + HAS_CODE)
    words = wait(up, 0, "--no-wait")
    assert "The server has its code after" in words and "client status stackserve" in words
    faults.clear()


def a_stage_is_missing(up: Launcher, faults: FaultyNetwork) -> None:
    shows(faults, BOOTED + "STACKSERVE stage=packages state=begin t=13.0\nGet:1 bookworm\n")
    words = wait(up, 8)
    assert "packages in progress; not done: packages, dependencies, code" in words
    assert "Last line of the console: 'Get:1 bookworm'" in words
    faults.clear()


def a_step_failed(up: Launcher, faults: FaultyNetwork) -> None:
    log = "STACKSERVE-LOG stage=packages E: Unable to locate package rabbitmq-serverr\n"
    mark = 'STACKSERVE stage=packages state=failed t=33.0 detail="apt-get: 100"\n'
    shows(faults, KEY + BOOTED + log + mark)
    ended = up.run("deploy", "--json")
    assert ended.exit_code == 7
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    error = events[-1]
    assert error["code"] == "contextualization"
    assert error["message"] == (
        "The step 'packages' failed on the server 33 s after it booted: apt-get: 100."
    )
    assert error["log"] == ["E: Unable to locate package rabbitmq-serverr"]
    assert "ssh -i" in error["remedy"] and "--recreate" in error["remedy"]
    failed = [event for event in events if event.get("state") == "failed"]
    assert [event["stage"] for event in failed] == ["packages"]
    assert failed[0]["seconds"] < 30, "from the marker, not from a timeout"
    faults.clear()


def a_reboot_after_the_failure(up: Launcher, faults: FaultyNetwork) -> None:
    failed = "STACKSERVE stage=packages state=failed t=33.0\n"
    shows(faults, BOOTED + failed + BOOTED)
    assert "not done: packages" in wait(up, 8)
    faults.clear()


def ready_but_not_reachable(up: Launcher, faults: FaultyNetwork) -> None:
    shows(faults, BOOTED + "STACKSERVE stage=ready state=done t=99.0\n")
    words = wait(up, 8)
    assert "The server reports that it is ready, so something in between blocks port 5100" in words
    assert "--allow-from" in words
    faults.clear()


def no_console(up: Launcher, faults: FaultyNetwork, project: Project) -> None:
    """Without the host key nothing can be sent; with one that was saved before, it goes on."""
    faults.rule(CONSOLE, times=EVER, status=403, body='{"forbidden": {"message": "no"}}')
    words = wait(up, 8)
    assert "No console log available, so stages are not shown" in words
    assert "no console log available" in words
    hosts = up.kept(project, "known_hosts")
    hosts.unlink()
    for flags in ((), ("--no-wait",)):
        words = wait(up, 6, *flags)
        assert "so the host key of the server is not known, and its code is not sent" in words
        assert f"Write it into {hosts} as one line: 172.24.4." in words
    faults.clear()


def stopped_meanwhile(up: Launcher, faults: FaultyNetwork) -> None:
    def off(answer: Any) -> Any:
        answer["server"]["status"] = "SHUTOFF"
        return answer

    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", times=EVER, after=1, change=off)
    assert "The server went SHUTOFF during setup" in wait(up, 6)
    faults.clear()


def ssh_to_a_stopped_server(up: Launcher, faults: FaultyNetwork) -> None:
    def off(answer: Any) -> Any:
        for server in answer["servers"]:
            server["status"] = "SHUTOFF"
        return answer

    faults.rule(r"GET \S+/servers/detail", times=EVER, change=off)
    ended = up.run("ssh", "--", "uptime")
    assert ended.exit_code == 6
    assert "is SHUTOFF, so you cannot log in. `deploy stackserve` starts" in up.words(ended)
    faults.clear()


def the_server_stays(up: Launcher, project: Project) -> None:
    kinds = [left.split()[0] for left in project.leftovers()]
    assert kinds == ["server", "keypair", "floating", "group", "port"]


def host_key_for_ssh(up: Launcher, faults: FaultyNetwork, project: Project) -> None:
    up.kept(project, "known_hosts").unlink(missing_ok=True)
    shows(faults, KEY)
    ended = up.run("ssh", "--json", "stackserve", "uptime")
    assert ended.exit_code == 0, up.words(ended)
    command = json.loads(ended.stdout)["command"]
    assert "StrictHostKeyChecking=yes" in command and command[-1] == "uptime"
    assert command[-2].startswith("debian@172.24.4.")
    known = up.kept(project, "known_hosts")
    assert "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostKey" in known.read_text()
    faults.clear()


def test_an_outage_while_waiting_is_tolerated(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: Callable[[], None]
) -> None:
    """Nova fails while a server builds and boots: the deploy keeps waiting until its timeout."""
    down = {"times": 3, "status": 503, "body": '{"message": "down"}'}
    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", **down)
    faults.rule(CONSOLE, **down)
    faults.rule(r"DELETE \S+/tags/", times=EVER, reset="before")
    ended = launcher.run("deploy", "--retries", "0", "--timeout-ready", "1")
    words = launcher.words(ended)
    assert ended.exit_code == 8, words
    assert "Still waiting: Nova could not show the server; the service is failing: down" in words
    assert "Still waiting: Nova could not show the console log" in words
    assert "No prediction after 1 s" in words and "Keeping the created resources" in words
