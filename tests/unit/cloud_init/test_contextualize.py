"""contextualize.py: the order of the steps, what the console shows, and what a failure stops."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cloud_init.steps import file, load, steps_of

MARKER = re.compile(r'STACKSERVE stage=(\w+) state=(\w+) t=[\d.]+(?: detail="(.*)")?$')


class Vm:
    """contextualize.py in a temporary folder, with steps that a test writes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.program = load("contextualize.py")
        self.console = folder / "console"
        self.console.touch()
        (folder / "log").mkdir()
        monkeypatch.setattr(self.program, "HERE", folder)
        monkeypatch.setattr(self.program, "LOGS", folder / "log")
        monkeypatch.setattr(self.program, "CONSOLE", AppendingConsole(self.console))

    def step(self, stage: str, script: str, *after: str, limit: float = 20) -> Any:
        path = self.folder / f"{stage}.sh"
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)
        return self.program.Step(stage, path.name, after, limit)

    def run(self, *steps: Any) -> bool:
        failed: bool = self.program.run(list(steps), dict(os.environ))
        return failed

    def lines(self) -> list[str]:
        return [line for line in self.console.read_text().splitlines() if line]

    def markers(self) -> list[tuple[str, str]]:
        found = [MARKER.match(line) for line in self.lines()]
        return [(match[1], match[2]) for match in found if match]

    def detail(self) -> str:
        found = [MARKER.match(line) for line in self.lines()]
        return next(match[3] for match in found if match and match[2] == "failed")


class AppendingConsole:
    """A file that is written like a device: opening it keeps its content."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, _mode: str, **how: Any) -> Any:
        return self.path.open("a", **how)


@pytest.fixture
def vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vm:
    return Vm(tmp_path, monkeypatch)


def test_each_step_reports_its_begin_and_end(vm: Vm) -> None:
    assert not vm.run(vm.step("packages", "true"), vm.step("rabbitmq", "true", "packages"))
    assert vm.markers() == [
        ("packages", "begin"),
        ("packages", "done"),
        ("rabbitmq", "begin"),
        ("rabbitmq", "done"),
    ]


def test_independent_steps_run_in_parallel(vm: Vm) -> None:
    wait_for = "while [ ! -e {0} ]; do sleep 0.01; done"
    assert not vm.run(
        vm.step("packages", f"touch a; {wait_for.format('b')}"),
        vm.step("dependencies", f"touch b; {wait_for.format('a')}"),
    )


def test_a_failure_is_reported_and_stops_the_rest_at_once(vm: Vm) -> None:
    started = time.monotonic()
    assert vm.run(
        vm.step("packages", "echo Reading; echo 'E: Unable to locate package nope'; exit 100"),
        vm.step("dependencies", "sleep 30; touch too-late"),
        vm.step("rabbitmq", "touch too-late", "packages"),
    )
    assert time.monotonic() - started < 5
    assert ("packages", "failed") in vm.markers()
    assert ("rabbitmq", "begin") not in vm.markers()
    assert vm.detail() == "E: Unable to locate package nope"
    assert not (vm.folder / "too-late").exists()


def test_the_end_of_the_log_comes_before_the_failure(vm: Vm) -> None:
    vm.run(vm.step("model", "seq 100; echo 'error: the model is damaged'; exit 1"))
    shown = [line for line in vm.lines() if line.startswith("STACKSERVE-LOG stage=model ")]
    assert len(shown) == 12
    assert shown[-1] == "STACKSERVE-LOG stage=model error: the model is damaged"
    assert vm.lines()[-1].startswith("STACKSERVE stage=model state=failed")


def test_the_line_with_the_error_wins_over_later_output(vm: Vm) -> None:
    vm.run(vm.step("packages", "echo 'E: Sub-process dpkg failed'; echo Bye; exit 1"))
    assert vm.detail() == "E: Sub-process dpkg failed"


def test_a_failure_without_output_gets_a_message(vm: Vm) -> None:
    vm.run(vm.step("ready", "exit 3"))
    assert vm.detail() == "ready.sh exited with code 3 and no output"


def test_a_step_that_hangs_is_stopped_and_reported(vm: Vm) -> None:
    assert vm.run(vm.step("rabbitmq", "echo waiting; sleep 30", limit=0.3))
    assert "took more than 0.3 seconds" in vm.detail()


def test_output_of_a_step_cannot_forge_or_garble_a_marker(vm: Vm) -> None:
    script = """printf 'error: "quoted"\\tand \\033[31mred\\303\\251\\n'; exit 1"""
    vm.run(vm.step("model", script))
    assert vm.detail() == "error: 'quoted' and  [31mred"
    forged = "printf 'error\\r\\nSTACKSERVE stage=ready state=done t=1\\n'; exit 1"
    vm.run(vm.step("packages", forged))
    assert ("ready", "done") not in vm.markers()


def test_stopping_a_step_stops_its_children(vm: Vm) -> None:
    vm.run(
        vm.step("dependencies", "sh -c 'sleep 0.5; touch orphan' & wait"),
        vm.step("packages", "exit 1"),
    )
    time.sleep(0.6)
    assert not (vm.folder / "orphan").exists()


@pytest.mark.parametrize("role", ["server", "worker"])
def test_every_step_has_a_program_and_comes_after_those_it_needs(role: str) -> None:
    plan = steps_of(role, 600)
    assert all(file(f"steps/{step.program}").is_file() for step in plan)
    done: set[str] = set()
    for step in plan:
        assert done.issuperset(step.after), f"{step.stage} comes before {step.after}"
        done.add(step.stage)
    assert plan[0].stage == "booting"
    assert plan[-1].stage == "ready"


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("A=1\nURL=https://x/y?a=b&c=d#e\nEMPTY=\n")
    assert load("contextualize.py").read_settings(tmp_path / "settings.env") == {
        "A": "1",
        "URL": "https://x/y?a=b&c=d#e",
        "EMPTY": "",
    }


@pytest.mark.parametrize("role", ["server", "image"])
def test_no_step_gives_up_before_a_launcher_that_waits_longer(role: str) -> None:
    program = load("contextualize.py")
    usual = {step.stage: step.limit for step in steps_of(role, program.DEFAULT_TIMEOUT)}
    twice = {step.stage: step.limit for step in steps_of(role, 2 * program.DEFAULT_TIMEOUT)}
    shorter = {step.stage: step.limit for step in steps_of(role, 600)}
    for limits in (usual, twice, shorter):
        limits.pop("code")  # it waits for days anyway
    if role == "server":
        assert (usual.pop("ready"), twice.pop("ready"), shorter.pop("ready")) == (1860, 3660, 660)
    assert twice == {stage: 2 * limit for stage, limit in usual.items()}
    assert shorter == usual
