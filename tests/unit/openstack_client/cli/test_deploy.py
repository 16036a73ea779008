"""deploy with a cloud: what it asks before it deletes, and how it ends if the code is old."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client.cli import deploy, main
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Server
from openstack_client.deploy import run
from openstack_client.errors import Interrupted, SettingsError
from openstack_client.places import COMMAND
from openstack_client.plan.inventory import metadata
from openstack_client.plan.model import Action, Parcel, Plan, ServerPlan
from openstack_client.settings import Settings, merge
from openstack_client.watch.probe import Probe

LOSS = "Replacing server 'x' deletes all jobs of deployment 'stackserve'."
SOURCE = Source("clouds.yaml", "clouds.yaml", cloud="lab")
ME = Identity("demo", "u1", "demo", "p1")


def session(as_json: bool = False, **given: Any) -> Session:
    cloud: Any = SimpleNamespace(project_id="p1")
    return Session(merge(given, {}, None)[0], {}, SOURCE, cloud, as_json, Console(width=1000))


@dataclass
class Deploys:
    """Runs the deploy verb with a given plan; the cloud and the server are fakes."""

    monkeypatch: pytest.MonkeyPatch
    runs: list[str] = field(default_factory=list)

    def run(self, plan: Plan, *flags: str, alive: str = "") -> Result:
        def open_session(flags: dict[str, Any], source: Source) -> Session:
            given = {name: flags[name] for name in flags if name in Settings.model_fields}
            made = session(flags["as_json"], **given)
            self.monkeypatch.setattr(made, "login", lambda: ME)
            self.monkeypatch.setattr(made, "plan", lambda identity, **_: (plan, None))
            return made

        def active_server(launch: run.Launch) -> tuple[Server, str]:
            self.runs.append(launch.plan.name)
            assert launch.plan.front.server is not None
            return launch.plan.front.server, "192.0.2.1"

        self.monkeypatch.setattr(deploy, "find_source", lambda flags: SOURCE)
        self.monkeypatch.setattr(deploy, "open_session", open_session)
        self.monkeypatch.setattr(run.Launch, "_active_server", active_server)
        self.monkeypatch.setattr(run.Launch, "_release", lambda launch: None)
        watch = SimpleNamespace(
            service=SimpleNamespace(get_json=lambda path: {"code_hash": alive}),
            wait_until_ready=lambda timeout: Probe(True, "diabetes"),
            wait_until_delivered=lambda timeout: None,
        )
        self.monkeypatch.setattr(run, "ReadyWatch", lambda **_: watch)
        return CliRunner().invoke(main, ["deploy", *flags])


@pytest.fixture
def deploys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Deploys:
    monkeypatch.setenv("HOME", str(tmp_path))
    return Deploys(monkeypatch)


def a_plan(code: str = "new", loss: str = "") -> Plan:
    made_of = metadata("stackserve", run="00ff", code=code, data="d", user="debian")
    action = Action.REPLACE if loss else Action.FOUND
    front = ServerPlan(
        "stackserve",
        loss=loss,
        server=Server("s1", "x", "ACTIVE", metadata=made_of),
        action=action,
        parcel=Parcel(b"data", "new", "d"),
    )
    return Plan("stackserve", [front])


def test_jobs_are_not_deleted_without_a_terminal(deploys: Deploys) -> None:
    ended = deploys.run(a_plan(loss=LOSS))
    assert ended.exit_code == SettingsError.exit_code == 2
    assert f"{LOSS} Cannot ask for confirmation without a terminal." in ended.stderr
    assert "Add --yes to confirm." in ended.stderr
    assert f"Warning: {LOSS}" in ended.stdout and deploys.runs == []
    events = [
        json.loads(line)
        for line in deploys.run(a_plan(loss=LOSS), "--json").stdout.split("\n")[:-1]
    ]
    assert [event["event"] for event in events] == ["plan", "error"]
    assert events[0]["loss"] == LOSS and events[1]["exit_code"] == 2 and deploys.runs == []


def test_yes_replaces_the_server(deploys: Deploys) -> None:
    assert deploys.run(a_plan(loss=LOSS), "--yes").exit_code == 0
    assert deploys.runs == ["stackserve"]


def test_nothing_is_asked_if_nothing_is_lost(deploys: Deploys) -> None:
    assert deploys.run(a_plan()).exit_code == 0
    assert deploys.runs == ["stackserve"]


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_only_a_yes_confirms(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", terminal := io.StringIO(answer))
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    with pytest.raises(Interrupted, match="Nothing was deleted"):
        session().confirm("Replace the server?", False)
    monkeypatch.setattr(click, "confirm", lambda question: True)
    session().confirm("Replace the server?", False)


@pytest.mark.parametrize(
    ("created_with", "alive", "flags", "code"),
    [
        ("new", "new", (), 0),
        ("old", "", (), 12),
        # Updated on the server after it was created.
        ("old", "new", (), 0),
        ("new", "old", (), 12),
        ("old", "new", ("--no-wait",), 12),
        ("", "", (), 0),
    ],
)
def test_a_deploy_that_keeps_old_code_says_so_last(
    created_with: str, alive: str, flags: tuple[str, ...], code: int, deploys: Deploys
) -> None:
    ended = deploys.run(a_plan(created_with), *flags, alive=alive)
    assert ended.exit_code == code, ended.output
    says = "its code is old, not new as on this machine. This deploy did not change it."
    assert (says in ended.stderr) is (code == 12)
    assert ("deploy --recreate stackserve" in ended.stderr) is (code == 12)


def test_old_code_in_json(deploys: Deploys) -> None:
    lines = deploys.run(a_plan("old"), "--json").stdout.splitlines()
    result, error = json.loads(lines[-2]), json.loads(lines[-1])
    assert (result["event"], result["ready"], result["drift"]) == ("result", True, "differs")
    assert (result["code_deployed"], result["code_on_disk"]) == ("old", "new")
    assert (error["code"], error["exit_code"]) == ("old_code", 12)


OIDC = ("--access", "oidc", "--oidc-issuer", "https://id.example.org", "--oidc-audience", "course")


def test_people_of_an_identity_provider_need_a_redirect_address(deploys: Deploys) -> None:
    address = "http://192.0.2.1:5100/sign-in/callback"
    ended = deploys.run(a_plan(), *OIDC, "--oidc-client", "pages")
    assert f"Sign-in: register {address} with the identity provider" in ended.stdout
    assert f"Token:   {COMMAND} tokens create stackserve TOKEN" in ended.stdout
    result = json.loads(
        deploys.run(a_plan(), *OIDC, "--oidc-client", "pages", "--json").stdout.splitlines()[-1]
    )
    assert result["redirect"] == address
    # Programs are sent nowhere.
    assert "Sign-in:" not in deploys.run(a_plan(), *OIDC).stdout


def test_a_setting_of_oidc_alone_creates_nothing(deploys: Deploys) -> None:
    ended = deploys.run(a_plan(), "--oidc-audience", "course")
    assert ended.exit_code == SettingsError.exit_code and deploys.runs == []
    assert "--oidc-audience: only applies with --access oidc" in ended.stderr
    assert "Add --access oidc, or remove it." in ended.stderr
