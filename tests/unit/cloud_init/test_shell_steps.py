"""The shell steps in cloud-init/files/steps/: syntax, and what each step starts."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from openstack_client.places import TEMPLATES
from production_server.settings import half_the_cores
from tests.unit.cloud_init.steps import FILES, file, load

SHELL = sorted(
    path for path in TEMPLATES.rglob("*") if path.is_file() and b"/bin/sh" in path.read_bytes()[:12]
)


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_steps_stop_at_the_first_failure(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert "set -eu" in script.read_text() or script.name == "wait.sh"


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path, needs: Callable[[object, str], None]) -> None:
    needs(shutil.which("shellcheck"), "shellcheck is missing: apt-get install shellcheck")
    done = subprocess.run(
        ["shellcheck", "--shell=sh", str(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_warm_imports_existing_modules() -> None:
    """warm.py names the modules of the service's processes; they must exist."""
    source = (FILES / "steps" / "warm.py").read_text()
    modules = re.findall(r'"(production_server\.[a-z_.]+)"', source)
    assert len(modules) == 4
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("early", [False, True])
def test_rabbitmq_gets_its_account_and_starts(tmp_path: Path, early: bool) -> None:
    """Run steps/rabbitmq.sh with a systemctl and an account.py that record their calls."""
    script = file("steps/rabbitmq.sh").read_text()
    mark = str(load("steps/account.py").STARTED_WITH)
    assert mark in script
    (tmp_path / "rabbitmq.sh").write_text(script.replace(mark, f"{tmp_path}/mark"))
    for name in ("systemctl", "account.py"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/calls\n')
        (tmp_path / name).chmod(0o755)
    if early:
        (tmp_path / "mark").touch()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", str(tmp_path / "rabbitmq.sh")], env=environment, check=True)
    calls = (tmp_path / "calls").read_text().splitlines()
    if early:
        assert calls == ["systemctl start rabbitmq-server.service"]
    else:
        assert calls[0] == "account.py"
        assert calls[1].startswith("systemctl enable ")
        assert calls[2:] == ["systemctl restart rabbitmq-server.service"]


@pytest.mark.parametrize("installed", [None, "other", "this"])
def test_code_step_waits_only_for_missing_code(tmp_path: Path, installed: str | None) -> None:
    script = (FILES / "steps" / "code.sh").read_text()
    stamp = "/opt/stackserve/app/payload.sha256"
    assert stamp in script
    (tmp_path / "code.sh").write_text(script.replace(stamp, f"{tmp_path}/stamp"))
    (tmp_path / "code.py").write_text(f"#!/bin/sh\ntouch {tmp_path}/waited\n")
    (tmp_path / "code.py").chmod(0o755)
    if installed:
        (tmp_path / "stamp").write_text(installed)
    environment = {"PATH": os.environ["PATH"], "PAYLOAD_SHA256": "this"}
    subprocess.run(["sh", str(tmp_path / "code.sh")], env=environment, check=True)
    assert (tmp_path / "waited").exists() is (installed != "this")


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 7, 8, 64])
def test_services_step_starts_the_default_number_of_workers(tmp_path: Path, cores: int) -> None:
    """services.sh computes the number in shell, because starting Python takes seconds."""
    (tmp_path / "nproc").write_text(f"#!/bin/sh\necho {cores}\n")
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")
    for name in ("nproc", "systemctl"):
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WORKERS": "auto", "ROLE": "server"}
    done = subprocess.run(
        ["sh", str(FILES / "steps" / "services.sh")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    workers = [unit for unit in done.stdout.split() if "worker@" in unit]
    assert len(workers) == half_the_cores(cores)
