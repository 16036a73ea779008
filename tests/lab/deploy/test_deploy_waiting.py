"""Waiting for readiness where nothing becomes ready: what was missing, and what failed."""

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
    """A server that Nova calls ACTIVE and where nothing ever answers."""
    ended = launcher.run("deploy", "--no-wait")
    assert ended.exit_code == 0, launcher.words(ended)
    return launcher


def shows(faults: FaultyNetwork, text: str) -> None:
    """Let the console show `text`."""
    faults.rule(CONSOLE, times=EVER, change=lambda answer: {"output": text})


def wait(launcher: Launcher, code: int, *flags: str) -> str:
    ended = launcher.run("deploy", "--timeout-ready", "1", *flags)
    words = launcher.words(ended)
    assert ended.exit_code == code, words
    return words


def test_all_about_waiting(up: Launcher, faults: FaultyNetwork, project: Project) -> None:
    """One server, many consoles: making a server for each would take minutes."""
    nothing_seen(up, faults)
    the_code_does_not_arrive(up, faults)
    a_stage_is_missing(up, faults)
    a_step_failed(up, faults)
    a_reboot_after_the_failure(up, faults)
    ready_but_not_reachable(up, faults)
    no_console(up, faults)
    stopped_meanwhile(up, faults)
    nobody_logs_in_to_a_stopped_server(up, faults)
    the_server_stays(up, project)
    host_key_for_ssh(up, faults, project)


def nothing_seen(up: Launcher, faults: FaultyNetwork) -> None:
    shows(faults, "LAST LINE\n")
    words = wait(up, 8)
    faults.clear()
    assert "No prediction after 1 s. What was missing: the console has shown no stage yet" in words
    assert "Last line of the console: 'LAST LINE'" in words
    assert "Run the command again to wait on; or look: ssh -i" in words


def the_code_does_not_arrive(up: Launcher, faults: FaultyNetwork) -> None:
    """It is said, it can be seen later, and the same command goes on with it."""
    shows(faults, BOOTED + "STACKSERVE stage=code state=begin t=13.0\n")
    words = wait(up, 8, "--no-wait")
    assert "The code was not handed over after 1 s. What was missing: code was under way" in words
    assert "What was made stays: the same command goes on with it" in words
    shown = up.run("status", "--no-ssh")
    assert shown.exit_code == 11
    assert "it waits for its code, which `deploy` hands over" in up.words(shown)
    assert "`deploy stackserve` finishes it, or waits on" in up.words(shown)
    faults.clear()
    shows(faults, BOOTED + HAS_CODE)
    words = wait(up, 0, "--no-wait")
    assert "The server has its code after" in words and "client status stackserve" in words
    faults.clear()


def a_stage_is_missing(up: Launcher, faults: FaultyNetwork) -> None:
    shows(faults, BOOTED + "STACKSERVE stage=packages state=begin t=13.0\nGet:1 bookworm\n")
    words = wait(up, 8)
    assert "packages was under way; not done: packages, dependencies, code" in words
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
        "The step 'packages' failed on the server, 33 s after it booted: apt-get: 100."
    )
    assert error["log"] == ["E: Unable to locate package rabbitmq-serverr"]
    assert "ssh -i" in error["remedy"] and "--recreate" in error["remedy"]
    failed = [event for event in events if event.get("state") == "failed"]
    assert [event["stage"] for event in failed] == ["packages"]
    assert failed[0]["seconds"] < 30, "told by the marker, not by a timeout"
    faults.clear()


def a_reboot_after_the_failure(up: Launcher, faults: FaultyNetwork) -> None:
    failed = "STACKSERVE stage=packages state=failed t=33.0\n"
    shows(faults, BOOTED + failed + BOOTED)
    assert "not done: packages" in wait(up, 8)
    faults.clear()


def ready_but_not_reachable(up: Launcher, faults: FaultyNetwork) -> None:
    shows(faults, BOOTED + "STACKSERVE stage=ready state=done t=99.0\n")
    words = wait(up, 8)
    assert "The server says that it is ready, so something between here and there" in words
    assert "--allow-from" in words
    faults.clear()


def no_console(up: Launcher, faults: FaultyNetwork) -> None:
    faults.rule(CONSOLE, times=EVER, status=403, body='{"forbidden": {"message": "no"}}')
    words = wait(up, 8)
    assert "No console log here, so stages are not told" in words
    assert "no console log to read" in words
    faults.clear()


def stopped_meanwhile(up: Launcher, faults: FaultyNetwork) -> None:
    def off(answer: Any) -> Any:
        answer["server"]["status"] = "SHUTOFF"
        return answer

    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", times=EVER, after=1, change=off)
    assert "The server went SHUTOFF while it was set up" in wait(up, 6)
    faults.clear()


def nobody_logs_in_to_a_stopped_server(up: Launcher, faults: FaultyNetwork) -> None:
    def off(answer: Any) -> Any:
        for server in answer["servers"]:
            server["status"] = "SHUTOFF"
        return answer

    faults.rule(r"GET \S+/servers/detail", times=EVER, change=off)
    ended = up.run("ssh", "--", "uptime")
    assert ended.exit_code == 6
    assert "is SHUTOFF, so nobody can log in. `deploy stackserve` starts" in up.words(ended)
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


def test_an_outage_while_waiting_is_sat_out(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: Callable[[], None]
) -> None:
    """Nova out of order while a server builds and boots: the deploy waits on, to its own end."""
    down = {"times": 3, "status": 503, "body": '{"message": "down"}'}
    faults.rule(r"GET \S+/servers/[0-9a-f-]{36}$", **down)
    faults.rule(CONSOLE, **down)
    faults.rule(r"DELETE \S+/tags/", times=EVER, reset="before")
    ended = launcher.run("deploy", "--retries", "0", "--timeout-ready", "1")
    words = launcher.words(ended)
    assert ended.exit_code == 8, words
    assert "Waiting on: Nova could not show the server: it is out of order: down" in words
    assert "Waiting on: Nova could not show the console log" in words
    assert "No prediction after 1 s" in words and "What was made stays" in words
