"""The suite passes in a shell's background too, where Ctrl-C is ignored and inherited."""

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


def test_ctrl_c_reaches_a_test_and_what_it_starts() -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    child = subprocess.Popen(["sleep", "5"])
    child.send_signal(signal.SIGINT)
    assert child.wait(4) == -signal.SIGINT


def test_it_does_in_the_background() -> None:
    pytest_here = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "reaches"]
    command = shlex.join([*pytest_here, __file__])
    done = subprocess.run(
        ["sh", "-c", f"{command} & wait $!"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
