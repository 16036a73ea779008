"""One `scripts/lab` at a time: the second waits, and a removed lock file does not count."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openstack_lab import down, lock, uplink
from openstack_lab.layout import Layout
from openstack_lab.progress import Progress
from openstack_lab.settings import from_environment

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
# Acquires the lock, reports it, and holds it until stdin is closed.
ACQUIRE = """
import sys, pathlib
from openstack_lab import lock
lock.acquire(pathlib.Path(sys.argv[1]), "scripts/lab down", lambda text: print(text, flush=True))
print("acquired", flush=True)
sys.stdin.read()
"""
Start = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_one(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", ACQUIRE, str(path)],
            env={"PYTHONPATH": str(SCRIPTS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_second_waits_and_names_the_first(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "run" / "lock"
    with lock.hold(path, "scripts/lab up", print):
        second = start(path)
        assert f"Waiting for `scripts/lab up` (process {os.getpid()})" in line(second)
    assert line(second) == "acquired"
    assert path.read_text() == f"`scripts/lab down` (process {second.pid})"


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "lock"
    first = start(path)
    assert line(first) == "acquired"
    first.kill()
    first.wait()
    assert line(start(path)) == "acquired"


def test_a_released_lock_is_free_even_if_a_child_has_it(tmp_path: Path, start: Start) -> None:
    with lock.hold(tmp_path / "lock", "scripts/lab up", print) as held:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(held,))
    assert line(start(tmp_path / "lock")) == "acquired"
    child.kill()
    child.wait()


def test_a_removed_lock_file_is_not_mistaken_for_the_lock(tmp_path: Path, start: Start) -> None:
    """The first to wait has the old file open; the next one creates a new file."""
    path = tmp_path / "run" / "lock"
    held = lock.acquire(path, "scripts/lab down --purge", print)
    second = start(path)
    assert "Waiting" in line(second)
    shutil.rmtree(path.parent)
    lock.release(held)
    assert line(second) == "acquired"
    assert "Waiting" in line(start(path))


def test_a_lock_passes_through_exec_but_only_as_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    held = lock.acquire(path, "scripts/lab up", print)
    os.set_inheritable(held, True)
    assert lock.inherit(held, path) and not os.get_inheritable(held)
    path.unlink()
    path.touch()
    assert not lock.inherit(held, path)
    lock.release(held)
    assert not lock.inherit(held, path)


def test_purge_removes_its_own_lock_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(from_environment(str(tmp_path / "lab"), environment={}))
    (layout.state / "mysql").mkdir(parents=True)
    removed: list[str] = []
    remove = shutil.rmtree

    def watched(path: Path) -> None:
        remove(path)
        removed.append(path.name)
        assert layout.lock.exists(), "another `up` can start"

    monkeypatch.setattr(uplink, "disconnect", lambda _layout: None)
    monkeypatch.setattr(down.shutil, "rmtree", watched)
    with lock.hold(layout.lock, "scripts/lab down", print):
        layout.secrets.touch()
        down.run(layout, Progress(), purge=True)
    assert removed == ["state"] and not layout.folder.exists()
