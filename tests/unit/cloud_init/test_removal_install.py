"""The removal program on a server: its installation over ssh, and its units."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openstack_client.deploy.self_removal import DESTINATIONS, INSTALL
from openstack_client.places import TEMPLATES

FOLDER = TEMPLATES / "removal"
UNIT = "expire-stackserve"
SECRET = "the-secret"
# systemd-analyze multiplies by ten and compares with "greater than": this allows less than 3.0.
BELOW_THREE = "29"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH where systemctl records its arguments, and `start` may fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log, failing = tmp_path / "calls", tmp_path / "failing"
    scripts = {
        "systemctl": f'echo "$*" >>{log}; [ "$1" != start ] || [ ! -e {failing} ]',
        "journalctl": "echo Cannot connect to cloud:5000",
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def install(programs: Path, tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    files = {
        str(tmp_path / "etc/removal.json"): ("600", json.dumps({"secret": SECRET})),
        str(tmp_path / "lib/remove.py"): ("644", "print()\n"),
    }
    done = subprocess.run(
        [sys.executable, "-I", "-c", (FOLDER / "install.py").read_text()],
        input=json.dumps(files),
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, (tmp_path / "calls").read_text().splitlines()


def test_the_files_are_written_and_the_program_runs_once(programs: Path, tmp_path: Path) -> None:
    done, calls = install(programs, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    start, enable = f"start {UNIT}.service", f"enable --quiet --now {UNIT}.timer"
    assert calls == ["daemon-reload", start, enable]
    secret = tmp_path / "etc/removal.json"
    assert secret.stat().st_mode & 0o777 == 0o600 and SECRET in secret.read_text()
    assert (tmp_path / "lib/remove.py").stat().st_mode & 0o777 == 0o644


def test_a_server_that_cannot_reach_the_cloud_keeps_nothing(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "failing").touch()
    done, calls = install(programs, tmp_path)
    assert done.returncode == 1
    assert "Cannot connect to cloud:5000" in done.stderr and SECRET not in done.stderr
    assert f"disable --quiet --now {UNIT}.timer" in calls
    assert not (tmp_path / "etc/removal.json").exists()
    assert not (tmp_path / "lib/remove.py").exists()


def test_the_ssh_command_contains_no_secret_and_every_file_has_a_place() -> None:
    assert "json.load(sys.stdin)" in INSTALL
    assert set(DESTINATIONS) == {path.name for path in FOLDER.iterdir()} - {"install.py"}


@pytest.fixture
def analyze(tmp_path: Path, needs: Callable[[object, str], None]) -> Callable[..., str]:
    program = shutil.which("systemd-analyze")
    needs(program, "systemd-analyze is missing: apt-get install systemd")
    for path in FOLDER.glob(f"{UNIT}.*"):
        shutil.copy(path, tmp_path)

    def analyze(*words: str) -> str:
        done = subprocess.run(
            [str(program), *words],
            cwd=tmp_path,
            env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:/lib/systemd/system"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    return analyze


def test_systemd_accepts_the_units(analyze: Callable[..., str]) -> None:
    assert analyze("verify", "--man=no", f"./{UNIT}.timer", f"./{UNIT}.service") == ""


def test_the_exposure_is_below_three(analyze: Callable[..., str]) -> None:
    options = ("--no-pager", "--offline=true", f"--threshold={BELOW_THREE}")
    analyze("security", *options, f"{UNIT}.service")
