"""A restore that fails or is killed leaves all of the old state, or all of the new."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from production_server.backup import restore as restoring
from production_server.backup.restore import finish_interrupted
from production_server.cli import command
from production_server.model.registry import Registry
from production_server.settings import Settings
from tests.support.stopped_service import restored, rows, saved, service, tree

ROOT = Path(__file__).resolve().parents[4]
KILLED = 99
# Restores and dies, as if by kill -9, at the call of a function.
PROGRAM = """
import os, sys
from pathlib import Path
from production_server.backup import database, restore
from production_server.settings import load_settings

def die(*_): os._exit({killed})

point = sys.argv[2]
if point == "first rename":
    real, calls = Path.rename, []
    def rename(self, target):
        calls.append(target)
        if len(calls) == 2:
            die()
        return real(self, target)
    Path.rename = rename
elif point == "before the commit":
    restore._sync_registry = die
elif point == "after the commit":
    restore.shutil.rmtree = die
settings = load_settings()
with open(sys.argv[1], "rb") as stream:
    restore.restore(settings, stream, lambda *_: None, lambda lost: None)
"""


@pytest.mark.parametrize(
    ("point", "new"),
    [("first rename", False), ("before the commit", False), ("after the commit", True)],
)
def test_a_killed_restore_is_undone_or_finished(
    point: str, new: bool, settings: Settings, tmp_path: Path
) -> None:
    registry = Registry(settings.registry_path)
    registry.add(registry.card("diabetes-1"), registry.model_path("diabetes-1"), activate=True)
    file = tmp_path / "a.tar.gz"
    file.write_bytes(saved(settings))
    other = service(tmp_path / "other")
    states = {
        True: (rows(settings), tree(settings.registry_path)),
        False: (rows(other), tree(other.registry_path)),
    }
    assert states[True] != states[False]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(killed=KILLED), str(file), point],
        cwd=ROOT,
        env={**os.environ, "STACKSERVE_HOME": str(other.home)},
        check=False,
    )
    assert done.returncode == KILLED
    finish_interrupted(other)
    assert (rows(other), tree(other.registry_path)) == states[new]
    assert not [path for path in other.home.iterdir() if ".before-" in path.name]
    # The next restore removes the folder that the killed one left.
    restored(other, file.read_bytes())
    assert (rows(other), tree(other.registry_path)) == states[True]
    assert not [path for path in other.home.iterdir() if path.name.startswith(".restore-")]


def test_a_full_disk_is_an_error_without_a_traceback(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.tar.gz"
    file.write_bytes(saved(settings))

    def full(path: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(restoring.database, "refuse_if_open", full)
    environment = {"STACKSERVE_HOME": str(settings.home)}
    ended = CliRunner().invoke(command, ["restore", str(file)], env=environment)
    assert ended.exit_code == 1
    assert f"cannot restore {file}: database or disk is full" in ended.stderr


def test_a_failed_rename_is_undone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = saved(settings)
    other = service(tmp_path / "other")
    before = rows(other), tree(other.registry_path)

    def fail(path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(restoring, "_sync_registry", fail)
        with pytest.raises(OSError, match="Input/output error"):
            restored(other, kept)
    assert (rows(other), tree(other.registry_path)) == before


def test_a_stop_during_the_last_step_comes_too_late(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = saved(settings)
    other = service(tmp_path / "other")
    real = restoring._sync_registry

    # A library's thread: it may get the signal instead of this one.
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()

    def stop(path: Path) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        real(path)

    monkeypatch.setattr(restoring, "_sync_registry", stop)
    restored(other, kept)
    assert rows(other) == rows(settings)


def test_a_service_that_starts_undoes_a_killed_restore(tmp_path: Path) -> None:
    settings = service(tmp_path / "home")
    models = tree(settings.registry_path)
    settings.registry_path.rename(settings.home / "models.before-5")
    done = subprocess.run(
        [sys.executable, "-m", "production_server", "recorder"],
        cwd=ROOT,
        # The recorder ends at once: there is no such broker.
        env={**os.environ, "STACKSERVE_HOME": str(settings.home), "STACKSERVE_BROKER_URL": "no://"},
        check=False,
    )
    assert done.returncode == 1
    assert tree(settings.registry_path) == models
