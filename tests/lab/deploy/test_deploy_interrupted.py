"""Ctrl-C, kill and two at once: what is left can be resumed, or nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.lab.deploy import conftest
from tests.lab.deploy.conftest import Launcher
from tests.support.faulty_network import EVER, FaultyNetwork
from tests.support.lab_project import Project

NothingLeft = Callable[[], None]
STAGES = {
    "logging in": r"POST \S+/auth/tokens",
    "planning": r"GET \S+/v2/images",
    "making the port": r"POST \S+/ports$",
    "making the group": r"POST \S+/security-groups$",
    "opening a port": r"POST \S+/security-group-rules$",
    "taking the keypair": r"POST \S+/os-keypairs$",
    "making the server": r"POST \S+/servers$",
    "making the address": r"POST \S+/floatingips$",
    "building": r"GET \S+/servers/[0-9a-f-]{36}$",
}


@dataclass(frozen=True)
class Ended:
    words: str
    code: int


def end(process: subprocess.Popen[str], timeout: float = 60) -> str:
    out, _ = process.communicate(timeout=timeout)
    return " ".join(out.split())


@pytest.fixture(scope="module")
def stopped(project: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """A deploy for each stage, all at once, each stopped by Ctrl-C when it gets there."""
    runs: list[tuple[str, FaultyNetwork, subprocess.Popen[str]]] = []
    with contextlib.ExitStack() as stack:
        for place, (stage, pattern) in enumerate(STAGES.items()):
            faults = stack.enter_context(conftest.faulty_network())
            started: list[subprocess.Popen[str]] = []
            ready = threading.Event()
            faults.rule(pattern, call=partial(press, started, ready))
            launcher = conftest.launcher_of(project, faults, tmp_path_factory.mktemp("stop"))
            started.append(launcher.start(f"stop{place}", "--no-wait"))
            ready.set()
            runs.append((stage, faults, started[0]))
        return {stage: Ended(end(process, 110), process.returncode) for stage, _, process in runs}


def press(started: list[subprocess.Popen[str]], ready: threading.Event) -> None:
    ready.wait(10)
    os.kill(started[0].pid, signal.SIGINT)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_ctrl_c_until_the_server_is_active_leaves_nothing(
    stopped: dict[str, Ended], project: Project, stage: str
) -> None:
    ended = stopped[stage]
    assert ended.code == 130, ended.words
    assert "Traceback" not in ended.words and "Stopped" in ended.words
    if stage not in {"logging in", "planning"}:
        assert "Nothing of this run is left." in ended.words
    assert project.leftovers() == []


def test_ctrl_c_does_not_wait_for_a_cloud_that_hangs(
    launcher: Launcher, faults: FaultyNetwork
) -> None:
    started: list[subprocess.Popen[str]] = []
    over = threading.Event()

    def hang() -> None:
        os.kill(started[0].pid, signal.SIGINT)
        over.wait(60)

    faults.rule(STAGES["planning"], call=hang, reset="before")
    started.append(launcher.start())
    words = end(started[0], 30)
    over.set()
    assert started[0].returncode == 130 and "Stopped." in words


def test_ctrl_c_while_waiting_leaves_what_can_be_resumed(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    started: list[subprocess.Popen[str]] = []
    faults.rule(
        r"POST \S+/servers/[0-9a-f-]{36}/action$",
        call=lambda: os.kill(started[0].pid, signal.SIGTERM),
    )
    started.append(launcher.start())
    words = end(started[0])
    assert started[0].returncode == 130, words
    assert "What was made stays: the same command goes on with it" in words
    before = project.leftovers()
    assert any("ACTIVE" in left for left in before)
    again = launcher.run("deploy", "--no-wait")
    assert again.exit_code == 0, launcher.words(again)
    assert project.leftovers() == before


def test_ctrl_c_with_keep_leaves_what_there_is(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    started: list[subprocess.Popen[str]] = []
    faults.rule(STAGES["making the server"], call=lambda: os.kill(started[0].pid, signal.SIGINT))
    started.append(launcher.start("--no-wait", "--keep"))
    words = end(started[0])
    assert started[0].returncode == 130 and "What was made stays (--keep)" in words
    assert "Stopping after this request" in words
    assert any(left.startswith("server") for left in project.leftovers())
    again = launcher.run("deploy", "--no-wait")
    assert again.exit_code == 0, launcher.words(again)


def test_ctrl_c_while_things_are_taken_away_says_what_finishes_it(
    launcher: Launcher, faults: FaultyNetwork, nothing_left: NothingLeft
) -> None:
    """Of a deploy that tidies up after a first Ctrl-C, and then of the delete after it."""
    started: list[subprocess.Popen[str]] = []

    def interrupt() -> None:
        os.kill(started[-1].pid, signal.SIGINT)

    faults.rule(STAGES["making the server"], call=interrupt)
    faults.rule(r"DELETE \S+/ports/[0-9a-f-]{36}$", call=interrupt)
    started.append(launcher.start("--no-wait"))
    words = end(started[-1])
    assert started[-1].returncode == 130, words
    assert "Stopped before all of it was gone: run `delete stackserve`." in words
    assert "Traceback" not in words

    faults.clear()
    faults.rule(r"DELETE \S+/security-groups/", call=interrupt)
    started.append(launcher.start_verb("delete", "--yes"))
    words = end(started[-1])
    assert started[-1].returncode == 130, words
    assert "Stopped before all of 'stackserve' was gone. Run `delete stackserve` again;" in words
    faults.clear()
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


def test_two_deploys_of_one_name_at_once(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    both = [launcher.start("--no-wait") for _ in range(2)]
    words = [end(process) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 9], words
    loser = words[[process.returncode for process in both].index(9)]
    assert "Another deploy of 'stackserve' is under way" in loser
    assert "Nothing of this run is left." in loser
    kinds = [left.split()[0] for left in project.leftovers()]
    assert kinds == ["server", "keypair", "floating", "group", "port"]


def test_a_killed_deploy_keeps_others_out_for_a_while_and_can_be_taken_over(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    started: list[subprocess.Popen[str]] = []

    def kill() -> None:
        started[0].kill()

    faults.rule(STAGES["making the server"], call=kill)
    started.append(launcher.start("--no-wait"))
    end(started[0])
    assert started[0].returncode == -signal.SIGKILL
    faults.clear()
    refused = launcher.run("deploy", "--no-wait")
    assert refused.exit_code == 9, launcher.words(refused)
    assert "or at once with --take-over" in launcher.words(refused)
    kept = launcher.run("delete", "--yes")
    assert kept.exit_code == 9
    taken = launcher.run("deploy", "--no-wait", "--take-over")
    assert taken.exit_code == 0, launcher.words(taken)
    kinds = [left.split()[0] for left in project.leftovers()]
    assert kinds == ["server", "keypair", "floating", "group", "port"]
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


def test_no_secret_is_on_the_command_line_or_in_the_output(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    lines: list[str] = []

    def look() -> None:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                lines.append(file.read_text(errors="replace"))

    faults.rule(STAGES["building"], times=EVER, call=look)
    process = launcher.start("--no-wait")
    words = end(process)
    assert process.returncode == 0, words
    assert any("start_instance.py" in line for line in lines)
    private = launcher.kept(project, "keys").read_text()
    for secret in (project.password, private.split("\n")[1]):
        assert secret not in words
        assert not [line for line in lines if secret in line]
