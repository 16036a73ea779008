"""autoscale: its flags, its lines and how it ends. The deployment exists in memory alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client.cli import autoscale, main
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.deploy.autoscale import Seen
from openstack_client.errors import Problem, ServerError
from openstack_client.plan.load import Load
from openstack_client.settings import merge
from tests.unit.openstack_client.deploy.test_autoscale import deployment

SOURCE = Source("clouds.yaml", "clouds.yaml", cloud="lab")


@dataclass
class Team:
    """One of one worker VM answers, and predictions take long."""

    count: int = 1
    stopped: bool = False
    broken: bool = False

    def look(self) -> Seen:
        if self.stopped:
            raise KeyboardInterrupt
        return Seen(deployment(self.count), is_changing=False)

    def load(self, seen: Seen) -> Load:
        if self.broken:
            raise ServerError("The ssh connection failed.", "Try `ssh`.")
        return Load(2.0, 0.9, workers=self.count)

    def why_not(self, count: int) -> list[Problem]:
        return [Problem("quota of cores", "2 more cores needed, 0 left.")] if count > 2 else []

    def scale(self, seen: Seen, count: int) -> None:
        self.count = count


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Team:
    team = Team()

    def open_session(flags: dict[str, Any]) -> Session:
        settings = merge({"name": flags["named"] or "x", "config_dir": tmp_path}, {}, None)[0]
        cloud: Any = SimpleNamespace(project_id="p1")
        made = Session(settings, {}, SOURCE, cloud, flags["as_json"], Console(width=1000))
        monkeypatch.setattr(made, "login", lambda: None)
        return made

    monkeypatch.setattr(autoscale, "open_session", open_session)
    monkeypatch.setattr(autoscale, "OpenStackTeam", lambda *_: team)
    return team


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["autoscale", "--max", "3", *arguments])


@pytest.mark.usefixtures("team")
def test_once_changes_nothing_at_first_and_says_why() -> None:
    ended = run("--min", "1", "--once")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.endswith(
        "  1 worker VM stays: predictions take 2.0 s, but not for long enough.\n"
    )


def test_once_brings_the_number_into_the_limits(team: Team) -> None:
    ended = run("--min", "2", "--once", "--json")
    event = json.loads(ended.stdout)
    assert event.pop("time").endswith("+00:00")
    assert event == {
        "event": "decision",
        "kind": "grow",
        "before": 1,
        "worker_vms": 2,
        "reason": "1 is outside 2 to 3",
    }
    assert team.count == 2


def test_once_without_figures_fails(team: Team) -> None:
    team.broken = True
    ended = run("--min", "1", "--once")
    assert ended.exit_code == ServerError.exit_code and "ssh connection failed" in ended.stderr


def test_ctrl_c_ends_it_cleanly(team: Team) -> None:
    team.stopped = True
    ended = run("--min", "1")
    assert ended.exit_code == 0
    warning, first, last = ended.stdout.splitlines()
    assert warning.endswith(
        "  3 worker VMs are not possible now: quota of cores: 2 more cores needed, 0 left."
    )
    assert first.endswith("  Keeping 1 to 3 worker VMs. Press Ctrl-C to end.")
    assert last.endswith("  Stopped. All worker VMs stay as they are.")


def test_ctrl_c_in_a_change_says_how_to_go_on(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    def scale(seen: Seen, count: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(team, "scale", scale)
    ended = run("--min", "2", "course")
    assert ended.exit_code == 130
    assert "From 1 to 2 worker VMs: 1 is outside 2 to 3." in ended.stdout
    assert "Stopped while it went from 1 to 2 worker VMs." in ended.stderr
    assert "`scale course` repairs" in ended.stderr


@pytest.mark.usefixtures("team")
def test_limits_that_make_no_sense() -> None:
    ended = run("--min", "4")
    assert ended.exit_code == 2 and "--min 4 is more than --max 3." in ended.stderr
    assert run("--min", "65").exit_code == 2
    assert CliRunner().invoke(main, ["autoscale", "--min", "1"]).exit_code == 2
