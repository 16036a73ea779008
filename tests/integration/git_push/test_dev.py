"""The development server: its key and repository, and a model that is trained there and pushed."""

from __future__ import annotations

import csv
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from openstack_client.places import TEMPLATES
from production_server.model.cohort import sample
from tests.support.push_machine import PushMachine
from tests.support.rows import shipped
from tests.support.service import ROOT
from tests.unit.cloud_init.steps import load

TRAIN = TEMPLATES / "roles" / "dev" / "bin" / "train"


class Development:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = load("bin/stackserve-dev")
        mine = list(pwd.getpwuid(os.geteuid()))
        mine[5] = str(home)
        self.account = pwd.struct_passwd(mine)  # type: ignore[arg-type]

    def run(self, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
        capsys.readouterr()
        self.program.main(list(words), self.account)
        return json.loads(capsys.readouterr().out)


@pytest.fixture
def development(tmp_path: Path) -> Iterator[Development]:
    home = tmp_path / "home"
    home.mkdir()
    return Development(home)


def test_it_is_set_up_once(development: Development, capsys: pytest.CaptureFixture[str]) -> None:
    assert development.run(capsys, "setup") == {"changed": True}
    public = development.run(capsys, "public-key")
    assert development.run(capsys, "setup") == {"changed": False}
    assert development.run(capsys, "public-key") == public
    assert (development.home / ".ssh" / "production").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["https://x/y", "ssh://a b", "-oProxyCommand=id", ""])
def test_only_an_address_for_ssh_becomes_the_remote(development: Development, url: str) -> None:
    with pytest.raises(SystemExit, match="is no address of a repository"):
        development.program.point(development.program.Project(development.account), url, "")


def test_production_is_known_by_its_host_key(
    development: Development,
    machine: PushMachine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point(development, machine, monkeypatch)
    assert not development.run(capsys, "production", machine.url)["reached"]
    development.run(capsys, "setup")
    public = development.run(capsys, "public-key")["public"]
    machine.git_keys("add-key", "dev1", data=public)
    point(development, machine, monkeypatch)
    told = development.run(capsys, "production", machine.url)
    assert told == {"changed": False, "reached": True, "why": ""}
    other = machine.known_hosts.read_text().split()[0] + " ssh-ed25519 " + public.split()[1] + "\n"
    monkeypatch.setattr(sys.stdin, "read", lambda size: other)
    told = development.run(capsys, "production", machine.url)
    assert told["changed"]
    assert not told["reached"]


def point(development: Development, machine: PushMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host keys that the next run reads."""
    lines = machine.known_hosts.read_text()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(read=lambda size: lines))


@pytest.mark.long
def test_a_trained_model_is_the_next_push(
    development: Development,
    machine: PushMachine,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    development.run(capsys, "setup")
    machine.git_keys("add-key", "dev2", data=development.run(capsys, "public-key")["public"])
    point(development, machine, monkeypatch)
    assert development.run(capsys, "production", machine.url)["reached"]
    card = shipped()[1]
    data = tmp_path / "patients.csv"
    with data.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*card.feature_names, "outcome"])
        for row, label in sample(card, 500, seed=4):
            writer.writerow([*row.values(), card.classes.index(label or "")])
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(development.home),
        "STACKSERVE_PYTHON": sys.executable,
        "STACKSERVE_APP": str(ROOT),
    }

    def train(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(TRAIN), "--data", str(data), "--folds", "2", "--min-auc", "0.5", *words]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=600
        )

    done = train("--force")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "git push production main" in done.stdout
    project = development.home / "project"
    log = ["git", "-C", str(project), "log", "--format=%s", "--name-only"]
    shown = subprocess.run(log, capture_output=True, text=True, check=True).stdout
    assert "ROC AUC" in shown
    assert {"model/card.json", "model/model.keras"} <= set(shown.splitlines())
    pushed = subprocess.run(
        ["git", "-C", str(project), "push", "--force", "production", "main"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    # The rows are not real, so the gate may find it worse: then it says so.
    assert "remote: Checking the model" in pushed.stderr
    assert (pushed.returncode == 0) == ("Production is unchanged" not in pushed.stderr)
    failed = train("--min-auc", "0.999")
    assert failed.returncode != 0
    assert subprocess.run(log, capture_output=True, text=True, check=True).stdout == shown
