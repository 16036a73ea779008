"""The supervisor with small units: order, restarts, changes and shutdown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openstack_lab import control
from openstack_lab.errors import NotRunningError
from openstack_lab.unit import Check, Step, Unit, to_json

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def daemon(name: str, command: str, **more: Any) -> Unit:
    return Unit(
        name=name, title=name, command=("sh", "-c", command), environment=ENVIRONMENT, **more
    )


def task(name: str, command: str, **more: Any) -> Unit:
    steps = (Step(("sh", "-c", command)),)
    return Unit(name=name, title=name, steps=steps, environment=ENVIRONMENT, **more)


@dataclass
class Supervised:
    """A supervisor in its own PID namespace."""

    folder: Path
    process: subprocess.Popen[bytes]

    def apply(self, *units: Unit) -> None:
        (self.folder / "units").write_text(to_json(units))
        control.ask(self.folder / "socket", "apply")

    def units(self) -> dict[str, dict[str, Any]]:
        return {unit["name"]: unit for unit in control.ask(self.folder / "socket", "status")}

    def wait(self, name: str, state: str, seconds: float = 15) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (unit := self.units()[name])["state"] != state:
            assert time.monotonic() < deadline, unit
            time.sleep(0.05)
        return unit


def found(supervised: Supervised, command: str) -> int:
    """The pid, on this machine, of the process that runs `command` in the namespace."""
    own = str(_child(supervised.process.pid))
    search = ["pgrep", "--ns", own, "--nslist", "pid", "-f", command]
    return int(subprocess.run(search, capture_output=True, check=True).stdout.split()[0])


@pytest.fixture
def supervised(tmp_path: Path, needs: Callable[[object, str], None]) -> Iterator[Supervised]:
    needs(os.geteuid() == 0, "a PID namespace needs root")
    (tmp_path / "units").write_text(json.dumps([]))
    (tmp_path / "logs").mkdir()
    process = subprocess.Popen(
        [
            "unshare",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child=SIGKILL",
            sys.executable,
            "-m",
            "openstack_lab.supervisor",
            str(tmp_path / "units"),
            str(tmp_path / "socket"),
            str(tmp_path / "logs"),
            str(tmp_path / "markers"),
        ],
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT / "scripts")},
    )
    made = Supervised(tmp_path, process)
    deadline = time.monotonic() + 20
    while True:
        try:
            made.units()
            break
        except NotRunningError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield made
    process.kill()
    process.wait()


def test_a_daemon_restarts_with_the_unit_that_it_is_tied_to(supervised: Supervised) -> None:
    """Even if it ignores SIGTERM. Other daemons keep running."""
    supervised.apply(
        daemon("switch", "exec sleep 61"),
        daemon(
            "agent",
            "trap '' TERM; while :; do sleep 0.1; done",
            requires=("switch",),
            tied_to=("switch",),
        ),
        daemon("neighbour", "exec sleep 60", requires=("switch",)),
    )
    before = {name: supervised.wait(name, "ready")["pid"] for name in supervised.units()}
    os.kill(found(supervised, "sleep 61"), signal.SIGKILL)
    deadline = time.monotonic() + 15
    while any(supervised.units()[name]["pid"] in (0, before[name]) for name in ("switch", "agent")):
        assert time.monotonic() < deadline, supervised.units()
        time.sleep(0.05)
    assert supervised.units()["neighbour"]["pid"] == before["neighbour"]


def test_units_start_after_what_they_require(supervised: Supervised) -> None:
    file = supervised.folder / "made"
    supervised.apply(
        daemon("second", f"test -e {file} && exec sleep 60", requires=("first",)),
        task("first", f"sleep 0.3; touch {file}"),
    )
    assert supervised.wait("second", "ready")["restarts"] == 0
    assert supervised.units()["first"]["state"] == "done"


def test_a_task_runs_once_and_again_if_it_changes(supervised: Supervised) -> None:
    counted = supervised.folder / "counted"
    supervised.apply(task("count", f"echo >> {counted}"))
    supervised.wait("count", "done")
    supervised.apply()
    supervised.apply(task("count", f"echo >> {counted}"))
    supervised.wait("count", "done")
    assert counted.read_text() == "\n"
    supervised.apply(task("count", f"echo  >> {counted}"))
    supervised.wait("count", "done")
    assert counted.read_text() == "\n\n"


def test_an_only_once_task_does_not_run_again_if_it_changes(supervised: Supervised) -> None:
    counted = supervised.folder / "counted"
    for command in (f"echo >> {counted}", f"echo  >> {counted}"):
        supervised.apply(task("once", command, only_once=True))
        supervised.wait("once", "done")
    assert counted.read_text() == "\n"


def test_a_failed_task_reports_the_reason_and_is_retried(supervised: Supervised) -> None:
    file = supervised.folder / "wanted"
    waiting = task("fragile", f"test -e {file}")
    supervised.apply(waiting)
    assert "exited with 1" in supervised.wait("fragile", "failed")["reason"]
    file.touch()
    supervised.apply(waiting)
    supervised.wait("fragile", "done")


def test_a_task_starts_from_nothing_until_it_has_succeeded(supervised: Supervised) -> None:
    """Its step fails on what an interrupted run left behind, unless the reset removes it."""
    table, marker = supervised.folder / "table", supervised.folder / "markers" / "tables"
    table.mkdir()
    remove = (Step(("rm", "-rf", str(table))),)
    supervised.apply(task("tables", f"mkdir {table}", reset=remove))
    supervised.wait("tables", "done")
    assert marker.exists()
    # A changed declaration, as in a new release, keeps the data.
    (table / "row").touch()
    supervised.apply(task("tables", f"test -e {table}/row", reset=remove))
    supervised.wait("tables", "done")


def test_a_killed_daemon_is_restarted_and_its_tasks_run_again(supervised: Supervised) -> None:
    counted = supervised.folder / "counted"
    supervised.apply(
        daemon("switch", "exec sleep 60"),
        task("bridges", f"echo >> {counted}", requires=("switch",), each_start=True),
    )
    supervised.wait("bridges", "done")
    os.kill(found(supervised, "sleep 60"), signal.SIGKILL)
    deadline = time.monotonic() + 15
    while counted.read_text() != "\n\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert supervised.wait("switch", "ready")["restarts"] == 1


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_a_daemon_that_never_answers_is_reported(supervised: Supervised) -> None:
    supervised.apply(
        daemon("deaf", "exec sleep 60", check=Check("tcp", "127.0.0.1:1"), timeout=1),
        daemon("next", "exec sleep 60", requires=("deaf",)),
    )
    assert "no answer" in supervised.wait("deaf", "failed")["reason"]
    assert supervised.units()["next"]["state"] == "waiting"


def test_a_removed_daemon_is_stopped(supervised: Supervised) -> None:
    stubborn = daemon("stubborn", "trap '' TERM; while true; do sleep 0.1; done", patience=0.5)
    supervised.apply(stubborn, daemon("stays", "exec sleep 60"))
    supervised.wait("stubborn", "ready")
    kept = supervised.wait("stays", "ready")["pid"]
    supervised.apply(daemon("stays", "exec sleep 60"))
    assert set(supervised.units()) == {"stays"} and supervised.units()["stays"]["pid"] == kept


def test_no_process_is_left_at_the_end(supervised: Supervised) -> None:
    """Not even the background processes of a daemon."""
    mark = "61.125"
    supervised.apply(daemon("leaves", f"(setsid sleep {mark} &) ; exec sleep 60"))
    supervised.wait("leaves", "ready")
    os.kill(_child(supervised.process.pid), 15)
    assert supervised.process.wait(20) == 0
    listed = subprocess.run(
        ["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True
    )
    assert f"sleep {mark}" not in listed.stdout
