"""The steps of a task: which of them run, and their time limits."""

from __future__ import annotations

import os
import time
from pathlib import Path

from openstack_lab.process import Process, State
from openstack_lab.unit import Step, Unit

PATH = {"PATH": "/usr/bin:/bin"}


def process(folder: Path, *steps: Step, reset: tuple[Step, ...] = ()) -> Process:
    unit = Unit(name="task", title="Task", steps=steps, reset=reset, environment=PATH)
    return Process(unit, log=folder / "log", marker=folder / "markers" / "task")


def finish(task: Process) -> None:
    """Run the task as the supervisor does."""
    task.again()
    task.start()
    deadline = time.monotonic() + 20
    while task.pid:
        assert time.monotonic() < deadline
        ended, status = os.waitpid(task.pid, os.WNOHANG)
        if ended:
            task.ended(os.waitstatus_to_exitcode(status))
        else:
            task.end_if_overdue(time.monotonic())
            time.sleep(0.02)


def test_an_interrupted_first_run_is_undone(tmp_path: Path) -> None:
    """As with tables of a killed migration, on which the next one fails."""
    table = tmp_path / "table"
    table.mkdir()
    create = Step(("mkdir", str(table)))
    stuck = process(tmp_path, create)
    finish(stuck)
    assert (stuck.state, stuck.reason) == (State.FAILED, "step 1 exited with 1")
    task = process(tmp_path, create, reset=(Step(("rm", "-rf", str(table))),))
    finish(task)
    assert task.state is State.DONE and table.exists()


def test_a_task_that_has_succeeded_keeps_its_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    task = process(tmp_path, Step(("touch", str(data))), reset=(Step(("rm", "-f", str(data))),))
    finish(task)
    data.write_text("rows")
    finish(task)
    assert task.state is State.DONE and data.read_text() == "rows"


def test_each_step_has_its_own_time_limit(tmp_path: Path) -> None:
    step = Step(("sleep", "0.4"), timeout=0.7)
    task = process(tmp_path, step, step, step)
    finish(task)
    assert task.state is State.DONE, task.reason


def test_an_overdue_step_is_ended_and_named(tmp_path: Path) -> None:
    task = process(tmp_path, Step(("true",)), Step(("sleep", "60"), timeout=0.3))
    finish(task)
    assert (task.state, task.reason) == (State.FAILED, "step 2 took over 0.3 s")
