"""The supervisor is recorded before it runs, and can be stopped in every state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from openstack_lab import control, namespace
from openstack_lab.errors import BrokenServiceError, NotRunningError
from openstack_lab.layout import Layout
from openstack_lab.settings import from_environment

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
# Killed just before the supervisor is recorded.
KILLED_WHILE_STARTING = """
import os, signal, sys
from openstack_lab import namespace
from openstack_lab.layout import Layout
from openstack_lab.settings import from_environment
namespace._start_time = lambda pid: os.kill(os.getpid(), signal.SIGKILL)
namespace.start(Layout(from_environment(sys.argv[1], environment={})))
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A lab whose `unshare` notes that it ran and then sleeps."""
    made = Layout(from_environment(str(tmp_path), environment={}))
    for folder in (made.run, made.logs, made.python.parent):
        folder.mkdir(parents=True)
    unshare = made.python.parent / "unshare"
    unshare.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexec sleep 60\n")
    unshare.chmod(0o755)
    return made


def record(layout: Layout, process: subprocess.Popen[bytes]) -> None:
    started = namespace._start_time(process.pid)
    layout.supervisor.write_text(json.dumps({"pid": process.pid, "started": started}))


def test_a_kill_while_starting_leaves_no_unrecorded_supervisor(layout: Layout) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_STARTING, str(layout.folder)],
        env={"PYTHONPATH": str(SCRIPTS)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    time.sleep(0.5)
    assert not (layout.folder / "ran").exists()


def test_a_started_supervisor_is_recorded(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [NotRunningError("not yet"), []]

    def ask(*_: object, **__: object) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(control, "ask", ask)
    namespace.start(layout)
    assert answers == []
    pid = json.loads(layout.supervisor.read_text())["pid"]
    deadline = time.monotonic() + 10
    while b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    namespace.stop(layout, patience=0.1)


@pytest.mark.timeout(30)
def test_an_unshare_without_a_child_is_stopped(layout: Layout) -> None:
    process = subprocess.Popen(["sleep", "60"])
    record(layout, process)
    namespace.stop(layout, patience=0.5)
    assert not Path(f"/proc/{process.pid}").exists() and not layout.supervisor.exists()


@pytest.mark.timeout(30)
def test_a_supervisor_that_ignores_the_first_signals_is_stopped(layout: Layout) -> None:
    child = "trap 'n=x$n; [ $n = xxx ] && exit 0' TERM; while :; do sleep 0.05; done"
    process = subprocess.Popen(["sh", "-c", 'sh -c "$0" & wait', child])
    record(layout, process)
    deadline = time.monotonic() + 10
    while not namespace.process_one(layout):
        assert time.monotonic() < deadline
    time.sleep(0.3)
    began = time.monotonic()
    namespace.stop(layout, patience=20)
    assert time.monotonic() - began < 10


def test_a_supervisor_that_died_is_not_waited_for(layout: Layout) -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    record(layout, process)
    began = time.monotonic()
    with pytest.raises(BrokenServiceError, match="does not answer"):
        namespace.wait_until_it_answers(layout, patience=20)
    assert time.monotonic() - began < 5
    process.wait()
