"""Ctrl-C works in tests that run in the background of a shell, where SIGINT is ignored."""

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
