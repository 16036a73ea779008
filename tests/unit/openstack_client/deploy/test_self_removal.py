"""How the removal reaches a server, and what a deploy says about it."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest

from openstack_client import lifetime
from openstack_client.deploy.self_removal import SECRETS, _is_open, deliver
from openstack_client.deploy.time_to_live import TimeToLive
from openstack_client.watch.ssh import SshTarget

SECRET = "the-secret"
CONTENT = {SECRETS: ("600", json.dumps({"secret": SECRET}))}
OUT = {"direction": "egress", "ethertype": "IPv4", "protocol": None, "remote_ip_prefix": None}


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshTarget:
    """An `ssh` that keeps its arguments and its input, and ends as the file `code` says."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\ncat >{tmp_path}/input\n'
        f"echo warning >&2; echo 'Cannot connect to cloud:5000.' >&2\nexit $(cat {tmp_path}/code)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return SshTarget("192.0.2.1", "debian", None, tmp_path / "known")


def test_the_secret_travels_in_the_input_alone(target: SshTarget, tmp_path: Path) -> None:
    (tmp_path / "code").write_text("0")
    assert deliver(target, CONTENT) == ""
    assert SECRET not in (tmp_path / "arguments").read_text()
    assert json.loads((tmp_path / "input").read_text()) == {SECRETS: list(CONTENT[SECRETS])}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("255", "ssh could not deliver the credential: Cannot connect to cloud:5000"),
        ("1", "it cannot use the cloud's API: Cannot connect to cloud:5000"),
    ],
)
def test_the_reason_is_the_last_line(
    target: SshTarget, tmp_path: Path, code: str, reason: str
) -> None:
    (tmp_path / "code").write_text(code)
    assert deliver(target, CONTENT) == reason


@pytest.mark.parametrize(
    ("rules", "is_open"),
    [
        ([OUT], True),
        ([{**OUT, "remote_ip_prefix": "0.0.0.0/0"}], True),
        ([{**OUT, "remote_ip_prefix": "10.0.0.0/8"}], False),
        ([{**OUT, "protocol": "tcp"}], False),
        ([{**OUT, "ethertype": "IPv6"}], False),
        ([{**OUT, "direction": "ingress"}], False),
        ([], False),
        (None, False),
    ],
)
def test_a_shelter_lets_everything_out(
    rules: list[dict[str, object]] | None, is_open: bool
) -> None:
    assert _is_open(rules) is is_open


def test_a_deploy_says_when_it_expires_and_who_removes_it() -> None:
    expires = lifetime.written(lifetime.now() + dt.timedelta(hours=8, seconds=30))
    assert TimeToLive().sentence == "" and not TimeToLive().removes_itself
    alone = TimeToLive(expires)
    assert alone.removes_itself
    assert alone.sentence == "The deployment expires in 8 h and then removes itself."
    helped = TimeToLive(expires, "Nova does not accept access rules in this cloud")
    assert not helped.removes_itself
    assert "cannot remove itself: Nova does not accept" in helped.sentence
    assert "`reap --yes` from cron" in helped.sentence
