"""`scripts/bench scale` with two hosts and few rows. It removes all that it makes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.scale.quota import PREFIX, top

from production_server.local import rabbitmq
from tests.support.service import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
SMALL = ["--rows", "4000", "--units", "256", "--rounds", "1", "--seconds", "1"]


@pytest.fixture(autouse=True)
def possible(needs: Callable[[object, str], None]) -> None:
    needs(os.geteuid() == 0, "only root can make network namespaces and control groups")
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    needs(shutil.which("wrk"), "wrk is not installed: apt-get install wrk")


def bench(*arguments: str) -> subprocess.Popen[str]:
    command = [str(ROOT / "scripts" / "bench"), "scale", *SMALL, *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def left() -> set[str]:
    """Control groups, folders and processes of benchmarks."""
    groups = {str(path) for path in top().path.glob(f"{PREFIX}*")}
    folders = {str(path) for path in Path(tempfile.gettempdir()).glob("stackserve-scale-*")}
    return groups | folders | processes()


def processes() -> set[str]:
    """Those whose command line or environment names a folder of a benchmark."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if b"stackserve-scale-" in text:
            found.add(process.name)
    return found


def test_two_hosts(tmp_path: Path) -> None:
    before = left()
    files = ["--json", str(tmp_path / "scale.json"), "--chart", str(tmp_path / "scale.svg")]
    running = bench("--hosts", "1,2", *files)
    table, errors = running.communicate()
    assert running.returncode == 0, errors
    assert [line.split()[1] for line in table.split("\n")[2:4]] == ["1", "2"]
    report = json.loads((tmp_path / "scale.json").read_text())
    assert [step["hosts"] for step in report["steps"]] == [1, 2]
    for step in report["steps"]:
        assert step["job"]["rate"] > 0
        assert step["answers"]["errors"] == 0
        # The quota holds. Rounds are short, so a period at each end counts.
        assert step["job"]["cores"]["hosts"] < 0.25 * step["hosts"] * 1.3
    assert set(report["feed"]["job"]["limits"]) == {"web", "recorder", "rabbitmq", "one_core"}
    assert (tmp_path / "scale.svg").read_text().startswith("<svg")
    assert left() <= before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(number: signal.Signals) -> None:
    before = left()
    running = bench("--hosts", "1")
    assert running.stderr
    for line in running.stderr:
        if "Starting host" in line:
            break
    assert processes()
    if number == signal.SIGINT:
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode not in (0, None)
    if number != signal.SIGKILL:
        assert left() <= before
        return
    # Its processes end with it. The next run removes the control groups; a folder stays.
    give_up = time.monotonic() + 30
    while processes() and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not processes()
