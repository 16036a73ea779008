"""The systemd units, as systemd itself reads them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from openstack_client.places import TEMPLATES
from tests.support import packaged_unit
from tests.unit.cloud_init.steps import FILES, file

UNITS = FILES / "systemd"
SERVICES = [
    "early-stackserve.service",
    "rabbitmq-server.service",
    "stackserve-web.service",
    "stackserve-recorder.service",
    "stackserve-worker@1.service",
    "stackserve-trainer.service",
    "contextualize.service",
    "installing-stackserve.service",
    "proxy-stackserve.service",
]
# Programs that this machine lacks, and settings that only newer versions of systemd know.
EXPECTED = re.compile(r"is not executable: No such file|RestartSteps|RestartMaxDelaySec|Unit epmd")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units in a folder, as on a VM."""
    for path in TEMPLATES.rglob("systemd/*.service"):
        shutil.copy(path, tmp_path)
    for service in ("stackserve-", "rabbitmq-server", "installing-stackserve"):
        (tmp_path / f"{service}.service.d").mkdir()
        shutil.copy(UNITS / "sandbox.conf", tmp_path / f"{service}.service.d")
    shutil.copy(UNITS / "stackserve-common.conf", tmp_path / "stackserve-.service.d")
    return tmp_path


def test_systemd_accepts_the_units(units: Path, needs: Callable[[object, str], None]) -> None:
    needs(shutil.which("systemd-analyze"), "systemd-analyze is missing: apt-get install systemd")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(f"./{name}" for name in SERVICES)],
        cwd=units,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:/lib/systemd/system"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if not EXPECTED.search(line)] == []


@pytest.mark.parametrize("name", SERVICES[:6])
def test_nothing_early_waits_for_cloud_init(name: str) -> None:
    """By default units wait for sysinit.target, which comes after cloud-init."""
    text = file(f"systemd/{name.replace('@1', '@')}").read_text()
    if name.startswith("stackserve-"):
        text += (UNITS / "stackserve-common.conf").read_text()
    assert "DefaultDependencies=no" in text
    assert not re.search(r"^After=.*(network|sysinit|basic|multi-user|cloud)", text, re.MULTILINE)


def test_nothing_reachable_starts_before_the_user_data_is_known() -> None:
    enabled = file("steps/clean.sh").read_text().split("systemctl enable")[1].split("\nfind")
    assert "stackserve-web" not in enabled[0]
    assert "stackserve-worker@1.service" in enabled[0]


def test_rabbitmq_is_started_with_the_quick_start_file() -> None:
    line = next(
        line
        for line in (UNITS / "rabbitmq-server.service").read_text().splitlines()
        if line.startswith("Environment=")
    )
    words = shlex.split(line.removeprefix("Environment="))
    assert words == ["ERL_AFLAGS=-eval 'file:eval(\"/etc/rabbitmq/quick-start.erl\")'"]
    assert 'installed("/etc/rabbitmq/quick-start.erl"' in (TEMPLATES / "parts.yaml.j2").read_text()


def test_our_unit_of_rabbitmq_replaces_what_the_package_has(
    needs: Callable[[object, str], None],
) -> None:
    path = Path(packaged_unit.PATH)
    needs(path.exists(), f"{path} is missing: apt-get install rabbitmq-server")
    assert packaged_unit.replaced(path.read_text()) == packaged_unit.REPLACED


def test_a_setting_that_is_new_in_the_package_is_found() -> None:
    unit = "[Service]\nUMask=0027\nUMask=0077\nWatchdogSec=60\n# UMask=0\n"
    assert packaged_unit.replaced(unit) == {"UMask": "0077", "WatchdogSec": "60"}
