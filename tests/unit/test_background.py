"""Stopping the suite: Ctrl-C in the background of a shell, where SIGINT is ignored, and SIGTERM."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The fixture of this suite takes a moment to end, like one that stops the lab.
SUITE = """
import time
from pathlib import Path
import pytest

HERE = Path(__file__).parent

@pytest.fixture(scope="session")
def lab():
    yield
    (HERE / "ending").touch()
    time.sleep(1)
    (HERE / "ended").touch()

def test_that_is_stopped(lab):
    (HERE / "started").touch()
    time.sleep(60)
"""


def test_ctrl_c_reaches_a_test_and_its_children() -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    child = subprocess.Popen(["sleep", "5"])
    child.send_signal(signal.SIGINT)
    assert child.wait(4) == -signal.SIGINT


def test_ctrl_c_works_in_the_background() -> None:
    test = f"{__file__}::{test_ctrl_c_reaches_a_test_and_its_children.__name__}"
    command = shlex.join([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test])
    done = subprocess.run(
        ["sh", "-c", f"{command} & wait $!"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


def test_sigterm_lets_fixtures_end(tmp_path: Path) -> None:
    """Even if it arrives twice, as from `timeout`."""
    suite = tmp_path / "test_suite.py"
    suite.write_text(SUITE)
    plugins = ("-p", "no:cacheprovider", "-p", "tests.conftest")
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *plugins, str(suite)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(tmp_path / "started", running)
    running.terminate()
    wait_for(tmp_path / "ending", running)
    running.terminate()
    output, _ = running.communicate(timeout=30)
    assert running.returncode == pytest.ExitCode.INTERRUPTED, output
    assert (tmp_path / "ended").exists(), output
