"""The launcher against the lab, with its own project and a network that injects faults."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from openstack_client.cli import main
from tests.support import lab_project
from tests.support.cloud import LabCloud
from tests.support.faulty_network import EVER, FaultyNetwork, Rule
from tests.support.lab_project import Project

ROOT = Path(__file__).resolve().parents[3]
CONSOLE = r"POST \S+/servers/[0-9a-f-]{36}/action$"
HAS_CODE = "STACKSERVE stage=code state=done t=20.00\n"


def faulty_network() -> FaultyNetwork:
    """Fake servers do not listen; their consoles report that they have their code."""

    def report_code(answer: Any) -> Any:
        return {"output": f"{answer['output']}\n{HAS_CODE}"}

    return FaultyNetwork(Rule(CONSOLE, times=EVER, change=report_code))


@pytest.fixture(scope="package")
def project(lab_cloud: LabCloud) -> Iterator[Project]:
    with lab_project.project(lab_cloud.layout.folder / "clouds.yaml") as made:
        yield made


@pytest.fixture(scope="package")
def _proxy() -> Iterator[FaultyNetwork]:
    with faulty_network() as proxy:
        yield proxy


@pytest.fixture
def faults(_proxy: FaultyNetwork) -> Iterator[FaultyNetwork]:
    _proxy.clear()
    yield _proxy
    _proxy.clear()


def _is_about_clouds(name: str) -> bool:
    return name.startswith(("OS_", "STACKSERVE_DEPLOY")) or name.lower() in {
        "no_proxy",
        "http_proxy",
        "https_proxy",
        "xdg_config_home",
    }


@dataclass
class Launcher:
    """Runs commands like a user, in this process or in a separate one."""

    env: dict[str, str]
    folder: Path

    def run(self, *arguments: str, env: dict[str, str | None] | None = None) -> Result:
        changed: dict[str, str | None] = {**self.env, **(env or {})}
        ended = CliRunner().invoke(main, list(arguments), env=changed)
        if ended.exception and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a deploy in a separate process."""
        return self._process(str(ROOT / "openstack_client" / "start_instance.py"), *arguments)

    def start_verb(self, *arguments: str) -> subprocess.Popen[str]:
        """Start any command in a separate process."""
        return self._process("-m", "openstack_client", *arguments)

    def _process(self, *arguments: str) -> subprocess.Popen[str]:
        kept = {key: value for key, value in os.environ.items() if not _is_about_clouds(key)}
        env = {**kept, **self.env, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=env,
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )

    def kept(self, project: Project, kind: str) -> Path:
        """The deployment's local file of this kind (keys, known_hosts)."""
        return self.folder / ".config" / "stackserve" / project.id[:8] / kind / "stackserve"

    def words(self, ended: Result) -> str:
        """All output on one line, so that wrapping does not matter."""
        return " ".join((ended.stdout + ended.stderr).split())


def launcher_of(project: Project, faults: FaultyNetwork, folder: Path) -> Launcher:
    """A user with an empty home folder whose requests go through `faults`."""
    return Launcher({**project.env, "HOME": str(folder), "http_proxy": faults.url}, folder)


def prepare(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Run commands of this process in a folder, without the settings of the machine."""
    for name in filter(_is_about_clouds, list(os.environ)):
        monkeypatch.delenv(name)
    # Shorter pauses for a local lab; the conditions waited for stay the same.
    monkeypatch.setattr("openstack_client.cloud.client.FIRST_PAUSE", 0.1)
    monkeypatch.setattr("openstack_client.deploy.lease.SETTLE", 0.2)
    monkeypatch.setattr("openstack_client.watch.wait.POLL", 0.3)
    monkeypatch.setattr("openstack_client.watch.boot.CONSOLE_EVERY", 0.5)
    monkeypatch.setattr("openstack_client.deploy.bake.POLL", 0.3)
    monkeypatch.setattr("openstack_client.watch.probe.CONNECT_TIMEOUT", 0.3)
    monkeypatch.setattr("openstack_client.deploy.delete.PAUSE", 0.3)
    monkeypatch.setattr("openstack_client.deploy.joining.POLL", 0.1)
    monkeypatch.chdir(folder)


@pytest.fixture
def launcher(
    project: Project, faults: FaultyNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Launcher:
    prepare(monkeypatch, tmp_path)
    return launcher_of(project, faults, tmp_path)


@pytest.fixture
def nothing_left(project: Project, launcher: Launcher) -> Iterator[Callable[[], Any]]:
    """Check that the project is empty again; deletes what a failed test left."""

    found_empty = False

    def check() -> None:
        nonlocal found_empty
        assert project.leftovers() == []
        found_empty = True

    yield check
    if not found_empty:
        lab_project.empty(project)
