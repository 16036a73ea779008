"""RabbitMQ's account and the files that hold secrets: steps/account.py and steps/private.py."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.cloud_init.steps import load


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    program = load("steps/account.py")
    (tmp_path / "rabbitmq" / "conf.d").mkdir(parents=True)
    for name in (
        "SETTINGS",
        "SERVICE",
        "OF_THE_IMAGE",
        "DEFINITIONS",
        "COOKIE",
        "STARTED_WITH",
    ):
        monkeypatch.setattr(program, name, tmp_path / name.lower())
    monkeypatch.setattr(program, "RABBITMQ", tmp_path / "rabbitmq")
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    monkeypatch.setattr(program.grp, "getgrall", list)
    monkeypatch.setattr(program, "make_certificates", lambda: None)
    (tmp_path / "settings").write_text("STACKSERVE_PORT=5100\n")
    return program


def install_rabbitmq_group(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [SimpleNamespace(gr_name="rabbitmq")]
    monkeypatch.setattr(program.grp, "getgrall", lambda: groups)


def test_password_hash_has_rabbitmqs_format(program: Any) -> None:
    stored = base64.b64decode(program.password_hash("pass word"))
    salt, digest = stored[:4], stored[4:]
    assert digest == hashlib.sha256(salt + b"pass word").digest()


def test_definitions_hold_one_account_and_one_virtual_host(program: Any) -> None:
    definitions = program.definitions("stackserve", "secret")
    assert [user["name"] for user in definitions["users"]] == ["stackserve"]
    assert definitions["users"][0]["tags"] == ""
    assert [host["name"] for host in definitions["vhosts"]] == ["stackserve"]
    assert "secret" not in str(definitions)


def test_secrets_are_never_readable_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = load("steps/private.py")
    owners: list[tuple[str, str]] = []
    monkeypatch.setattr(program.shutil, "chown", lambda _path, *who: owners.append(who))
    before = os.umask(0o077)
    program.write(tmp_path / "server.env", "A=1\n", "stackserve")
    os.umask(before)
    assert stat.S_IMODE((tmp_path / "server.env").stat().st_mode) == 0o640
    assert owners == [("root", "stackserve")]
    assert [path.name for path in tmp_path.iterdir()] == ["server.env"]


def test_rabbitmq_and_the_services_share_the_account(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.main(early=False)
    first = (tmp_path / "service").read_text()
    found = re.fullmatch(
        r"STACKSERVE_PORT=5100\nSTACKSERVE_BROKER_URL="
        r"amqp://stackserve:([\w-]{40,})@127\.0\.0\.1:5672/stackserve\n",
        first,
    )
    assert found
    # RabbitMQ is installed later, with the group that may read its definitions.
    assert not (tmp_path / "definitions").exists()
    install_rabbitmq_group(program, monkeypatch)
    program.main(early=False)
    assert (tmp_path / "service").read_text() == first
    assert stat.S_IMODE((tmp_path / "cookie").stat().st_mode) == 0o400
    assert len((tmp_path / "cookie").read_text()) == 32
    (user,) = json.loads((tmp_path / "definitions").read_text())["users"]
    stored = base64.b64decode(user["password_hash"])
    assert stored[4:] == hashlib.sha256(stored[:4] + found[1].encode()).digest()


def test_early_account_keeps_its_password_when_settings_change(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_rabbitmq_group(program, monkeypatch)
    (tmp_path / "of_the_image").write_text("STACKSERVE_PORT=5000\n")
    (tmp_path / "settings").unlink()
    program.main(early=True)
    early = (tmp_path / "service").read_text()
    account = (tmp_path / "definitions").read_text()
    (tmp_path / "settings").write_text("STACKSERVE_PORT=5100\n")
    program.main(early=False)
    assert (tmp_path / "service").read_text() == early.replace("5000", "5100")
    assert (tmp_path / "definitions").read_text() == account


@pytest.mark.parametrize("changed", [False, True])
def test_rabbitmq_restarts_only_if_its_configuration_changed(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    install_rabbitmq_group(program, monkeypatch)
    (tmp_path / "of_the_image").write_text("")
    program.main(early=True)
    if changed:
        (tmp_path / "rabbitmq" / "conf.d" / "20-more.conf").write_text("more")
    program.main(early=False)
    assert (tmp_path / "started_with").exists() is not changed
