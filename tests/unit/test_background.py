"""The suite passes in a shell's background too, where Ctrl-C is ignored and inherited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRESSED = "tests/unit/openstack_client/test_gather.py"


def test_ctrl_c_works_in_tests_that_run_in_the_background() -> None:
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider -k ctrl_c {PRESSED}"
    done = subprocess.run(
        ["sh", "-c", f"{command} & wait $!"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
