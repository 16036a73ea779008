"""apt starts no services while the lab installs packages, and the policy file is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openstack_lab import lock, packages

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
INSTALL = """
import sys, pathlib
from openstack_lab import lock, packages
packages.POLICY_PATH = pathlib.Path(sys.argv[1], "policy-rc.d")
with lock.hold(pathlib.Path(sys.argv[1], "lock"), "scripts/lab up", print) as held:
    packages.install(["something"], pathlib.Path(sys.argv[1], "log"), held)
"""
APT = """#!/bin/sh
case "$*" in *install*) touch {folder}/started; sleep 1; touch {folder}/finished ;; esac
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    """An installation by a slow apt-get, in a process group of its own."""
    apt = folder / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(APT.format(folder=folder))
    apt.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-c", INSTALL, str(folder)],
        env={"PATH": f"{apt.parent}:/usr/bin:/bin", "PYTHONPATH": str(SCRIPTS)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while not (folder / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (folder / "policy-rc.d").stat().st_mode & 0o111
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_apt_leaves_no_policy(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path)
    os.killpg(process.pid, number)
    assert process.wait(20) != 0
    assert not (tmp_path / "policy-rc.d").exists()
    assert (tmp_path / "finished").exists(), "apt was interrupted"


def test_a_policy_that_a_killed_up_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(tmp_path)
    monkeypatch.setattr(packages, "POLICY_PATH", tmp_path / "policy-rc.d")
    assert packages.remove_stale_policy(), "in use"
    process.kill()
    process.wait()
    with lock.hold(tmp_path / "lock", "scripts/lab up", print):
        assert (tmp_path / "finished").exists(), "apt is still running"
        assert not packages.remove_stale_policy()
    assert not (tmp_path / "policy-rc.d").exists()


def test_the_machines_own_policy_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "policy-rc.d"
    own.write_text("#!/bin/sh\nexit 0\n")
    monkeypatch.setattr(packages, "POLICY_PATH", own)
    with packages.no_services_started():
        assert own.read_text() == "#!/bin/sh\nexit 0\n"
    assert packages.remove_stale_policy()
    assert own.exists()
