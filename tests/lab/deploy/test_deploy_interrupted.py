"""Ctrl-C, kill and concurrent deploys: what is left can be resumed, or nothing is left."""

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
    "creating the port": r"POST \S+/ports$",
    "creating the group": r"POST \S+/security-groups$",
    "adding a rule": r"POST \S+/security-group-rules$",
    "creating the keypair": r"POST \S+/os-keypairs$",
    "creating the server": r"POST \S+/servers$",
    "creating the address": r"POST \S+/floatingips$",
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
    """A deploy for each stage, all in parallel, each stopped by Ctrl-C at that stage."""
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
        assert "Everything this run created was deleted." in ended.words
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


def test_ctrl_c_while_waiting_leaves_a_resumable_deployment(
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
    assert "Keeping the created resources. Run the same command to continue" in words
    before = project.leftovers()
    assert any("ACTIVE" in left for left in before)
    again = launcher.run("deploy", "--no-wait")
    assert again.exit_code == 0, launcher.words(again)
    assert project.leftovers() == before


def test_ctrl_c_with_keep_leaves_the_resources(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    started: list[subprocess.Popen[str]] = []
    faults.rule(STAGES["creating the server"], call=lambda: os.kill(started[0].pid, signal.SIGINT))
    started.append(launcher.start("--no-wait", "--keep"))
    words = end(started[0])
    assert started[0].returncode == 130 and "Keeping the created resources (--keep)" in words
    assert "Stopping after this request" in words
    assert any(left.startswith("server") for left in project.leftovers())
    again = launcher.run("deploy", "--no-wait")
    assert again.exit_code == 0, launcher.words(again)


def test_ctrl_c_during_cleanup_says_how_to_finish_it(
    launcher: Launcher, faults: FaultyNetwork, nothing_left: NothingLeft
) -> None:
    """First during the cleanup of an interrupted deploy, then during the delete that follows."""
    started: list[subprocess.Popen[str]] = []

    def interrupt() -> None:
        os.kill(started[-1].pid, signal.SIGINT)

    faults.rule(STAGES["creating the server"], call=interrupt)
    faults.rule(r"DELETE \S+/ports/[0-9a-f-]{36}$", call=interrupt)
    started.append(launcher.start("--no-wait"))
    words = end(started[-1])
    assert started[-1].returncode == 130, words
    assert "Cleanup was interrupted. Run `delete stackserve` to finish it." in words
    assert "Traceback" not in words

    faults.clear()
    faults.rule(r"DELETE \S+/security-groups/", call=interrupt)
    started.append(launcher.start_verb("delete", "--yes"))
    words = end(started[-1])
    assert started[-1].returncode == 130, words
    assert (
        "Stopped before 'stackserve' was completely deleted. Run `delete stackserve` again;"
        in words
    )
    faults.clear()
    assert launcher.run("delete", "--yes").exit_code == 0
    nothing_left()


def test_two_concurrent_deploys_of_one_name(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    both = [launcher.start("--no-wait") for _ in range(2)]
    words = [end(process) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == [0, 9], words
    loser = words[[process.returncode for process in both].index(9)]
    assert "Another deploy of 'stackserve' is running" in loser
    assert "Everything this run created was deleted." in loser
    kinds = [left.split()[0] for left in project.leftovers()]
    assert kinds == ["server", "keypair", "floating", "group", "port"]


def test_a_killed_deploy_blocks_others_until_taken_over(
    launcher: Launcher, faults: FaultyNetwork, project: Project, nothing_left: NothingLeft
) -> None:
    started: list[subprocess.Popen[str]] = []

    def kill() -> None:
        started[0].kill()

    faults.rule(STAGES["creating the server"], call=kill)
    started.append(launcher.start("--no-wait"))
    end(started[0])
    assert started[0].returncode == -signal.SIGKILL
    faults.clear()
    refused = launcher.run("deploy", "--no-wait")
    assert refused.exit_code == 9, launcher.words(refused)
    assert "--take-over ends it now" in launcher.words(refused)
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
