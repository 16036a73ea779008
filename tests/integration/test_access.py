"""A service that asks everybody for a token, and its tokens over ssh."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psutil
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client.cli import main
from openstack_client.cli import tokens as cli
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.settings import merge
from openstack_client.watch.probe import Service as Deployed
from openstack_client.watch.ssh import SshTarget
from tests.support.rows import shipped
from tests.support.service import ROOT, Service
from tests.support.tables import csv_body, follow, submit, table

# They stand in for the programs on the server, and run commands here.
PROGRAMS = {
    "ssh": 'while [ "$1" != debian@192.0.2.1 ]; do shift; done; shift; exec sh -c "$*"',
    "sudo": 'shift; exec "$@"',
    "systemd-run": f'while [ "${{1#--}}" != "$1" ]; do shift; done; shift; cd {ROOT} || exit; '
    f'exec {sys.executable} "$@"',
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("access")
    with Service(folder, settings={"STACKSERVE_ACCESS": "token"}) as running:
        yield running


@pytest.fixture
def tokens(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `tokens` of the launcher, with the service on the other side of ssh."""
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("STACKSERVE_HOME", str(service.home))

    def open_session(flags: dict[str, Any]) -> Session:
        cloud: Any = SimpleNamespace(project_id="p1")
        given = {"name": flags["named"]} if flags["named"] else {}
        source = Source("clouds.yaml", "clouds.yaml")
        made = merge(given, {}, None)[0]
        return Session(made, {}, source, cloud, flags["as_json"], Console(width=1000))

    target = SshTarget("192.0.2.1", "debian", None, tmp_path / "known_hosts")
    monkeypatch.setattr(cli, "find_source", lambda flags: "a cloud")
    monkeypatch.setattr(cli, "open_session", open_session)
    monkeypatch.setattr(cli, "find_service_by_ssh", lambda session: target)

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["tokens", *words])

    return run


def test_nothing_is_answered_without_a_token(service: Service) -> None:
    with httpx.Client(base_url=service.url) as client:
        for path in ("/predictions", "/jobs", "/metrics", "/models", "/openapi.json"):
            assert client.get(path).status_code == 401, path
        assert client.post("/predict", json={}).status_code == 401
        assert client.get("/ready").json()["ready"] is True
        assert client.get("/ping").text == "pong\n"


def test_a_token_for_predictions_and_jobs(service: Service, tokens: Any) -> None:
    made = tokens("create", "course", "ci")
    assert made.exit_code == 0, made.output
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    _, card = shipped()
    with httpx.Client(base_url=service.url, headers=headers, timeout=30) as client:
        row = {feature.name: feature.default for feature in card.features}
        assert client.post("/predict", json=row).status_code == 200
        job = submit(client, csv_body(card, table(card, 50)))["id"]
        assert follow(client, job)["state"] == "done"
        assert client.get("/metrics").status_code == 403
        assert httpx.get(f"{service.url}/jobs/{job}").status_code == 401
        assert tokens("revoke", "course", "ci").exit_code == 0
        assert client.get("/jobs").status_code == 401


def test_no_credential_is_anywhere_but_with_its_owner(service: Service, tokens: Any) -> None:
    plain = tokens("create", "course", "secret").stdout.strip()
    headers = {"Authorization": f"Bearer {plain}"}
    with httpx.Client(base_url=service.url, timeout=30) as client:
        assert client.get("/jobs", headers=headers).status_code == 200
        assert client.get("/jobs", headers={"Authorization": f"Bearer {plain}x"}).status_code == 401
        assert client.post("/sign-in", data={"token": plain}).status_code == 303
        session = client.cookies["stackserve_session"]
        assert client.get("/predictions").status_code == 200
        assert client.get("/metrics").status_code == 403
    key = (service.home / "access" / "signing.key").read_bytes()
    secrets = [plain.encode(), session.encode(), key, key.hex().encode()]
    assert service.process is not None
    parent = psutil.Process(service.process.pid)
    places = [
        place
        for process in (parent, *parent.children(recursive=True))
        for place in (Path(f"/proc/{process.pid}/cmdline"), Path(f"/proc/{process.pid}/environ"))
    ]
    places += [path for path in service.folder.rglob("*") if path.is_file()]
    assert len(places) > 5
    found = [place for place in places if holds(place, secrets) and place.name != "signing.key"]
    assert found == []


def holds(place: Path, secrets: list[bytes]) -> bool:
    content = place.read_bytes()
    return any(secret in content for secret in secrets)


def test_what_the_verbs_of_the_launcher_say(tokens: Any) -> None:
    first = tokens("create", "course", "monitor", "--scope", "operate", "--expires", "never")
    assert first.stdout.startswith("st_")
    again = tokens("create", "course", "monitor")
    assert again.exit_code == 2
    assert "There is a token 'monitor' already." in again.output
    assert "tokens revoke monitor" in again.output
    listed = tokens("list", "course")
    assert "monitor" in listed.output and "never expires" in listed.output
    assert first.stdout.strip() not in listed.output
    assert "12h, 90d or never" in tokens("create", "course", "b", "--expires", "soon").output
    assert tokens("revoke", "course", "monitor").exit_code == 0
    assert tokens("revoke", "course", "monitor").exit_code == 2
    assert tokens("create", "a", "b", "c").exit_code == 2


def test_the_launcher_finds_such_a_service_ready(service: Service) -> None:
    probe = Deployed("127.0.0.1", service.port).probe()
    assert probe.ok and probe.version == "diabetes-1"
    assert "need a token" in probe.summary
