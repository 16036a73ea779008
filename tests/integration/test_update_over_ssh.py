"""The launcher's update, promote and rollback: its real commands, without a server.

Small programs stand in for `ssh`, `sudo` and those of the server, whose real work is tested in
test_update_code.py and with the registry.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from openstack_client import userdata
from openstack_client.cli import main, update
from openstack_client.cli.session import Session
from openstack_client.cloud.credentials import Source
from openstack_client.places import IMPORT_FOLDER
from openstack_client.settings import merge
from openstack_client.watch.ssh import SshTarget

STATUS = """echo '{"live": "new", "previous": "old", "kept": ["new", "old"]}'"""
PROGRAMS = {
    # Skips its options and the address.
    "ssh": 'while [ "$1" != debian@192.0.2.1 ]; do shift; done; shift; exec sh -c "$*"',
    "sudo": 'shift; exec "$@"',
    "stackserve-update": f"""echo "$@" >>"$FOLDER/calls"
case $1 in
status) {STATUS} ;;
code) cat >"$FOLDER/sent"; echo 'the workers run it'; echo 'code new is live' ;;
rollback) echo 'code old is live' ;;
esac""",
    "stackserve-service": """echo "$@" >>"$FOLDER/calls"
[ "$2" != receive ] || { cat >"$FOLDER/sent"; echo '{"version": "diabetes-2", "lines": []}'; }""",
}


class Remote:
    """The server's side, and a launcher that is logged in to it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.set_meta: list[tuple[str, dict[str, str]]] = []
        for name, text in PROGRAMS.items():
            self.program(name, text)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("FOLDER", str(folder))

    def program(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, *arguments: str) -> Result:
        target = SshTarget("192.0.2.1", "debian", None, self.folder / "known_hosts")
        servers = SimpleNamespace(
            set_meta=lambda key, values: self.set_meta.append((key, values)),
            delete_meta=lambda key, names: None,
        )
        cloud: Any = SimpleNamespace(project_id="p1", nova=SimpleNamespace(servers=servers))
        mine = SimpleNamespace(workers=[], servers=[SimpleNamespace(id="s1", metadata={})])

        def open_session(flags: dict[str, Any]) -> Session:
            made = merge({"name": flags["named"]}, {}, None)[0]
            source = Source("clouds.yaml", "clouds.yaml")
            return Session(made, {}, source, cloud, flags["as_json"], Console(width=1000))

        self.monkeypatch.setattr(update, "open_session", open_session)
        self.monkeypatch.setattr(update, "find_service_by_ssh", lambda session: target)
        self.monkeypatch.setattr(Session, "inventory", lambda session: mine)
        return CliRunner().invoke(main, arguments)

    @property
    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    return Remote(tmp_path, monkeypatch)


def test_the_code_of_this_machine_is_sent(remote: Remote) -> None:
    ended = remote.run("update", "course", "--code")
    assert ended.exit_code == 0, ended.output
    files = userdata.read_code(IMPORT_FOLDER)
    sent = userdata.pack(files)
    code, sha256 = userdata.code_hash(files), hashlib.sha256(sent).hexdigest()
    assert remote.calls == [f"code --sha256 {sha256} --code {code}"]
    assert (remote.folder / "sent").read_bytes() == sent
    assert "the workers run it" in ended.stdout
    assert [key for key, _ in remote.set_meta] == ["s1"]
    assert code in remote.set_meta[0][1].values()


def test_a_rollback_of_the_code_notes_what_is_live(remote: Remote) -> None:
    ended = remote.run("rollback", "course", "--code")
    assert ended.exit_code == 0, ended.output
    assert remote.calls == ["rollback", "status"]
    assert "new" in remote.set_meta[0][1].values()


@pytest.mark.parametrize(
    ("flags", "then"),
    [
        ([], "models activate diabetes-2"),
        (["--canary", "10%"], "models canary diabetes-2 --share 10%"),
        (
            ["--shadow", "--promote-after", "30m", "--if-healthy"],
            "models shadow diabetes-2 --promote-after 30m --if-healthy",
        ),
    ],
)
def test_a_model_is_sent_and_goes_live_or_on_trial(
    flags: list[str], then: str, remote: Remote, tmp_path: Path
) -> None:
    model = tmp_path / "new.keras"
    model.write_bytes(b"weights")
    ended = remote.run("update", "course", "--model", str(model), "--force", *flags)
    assert ended.exit_code == 0, ended.output
    assert remote.calls == ["models receive - --json --force", then]
    with tarfile.open(remote.folder / "sent") as archive:
        assert archive.getnames() == ["model.keras"]


@pytest.mark.parametrize("verb", ["promote", "rollback"])
def test_trials_are_ended_by_the_service(verb: str, remote: Remote) -> None:
    ended = remote.run(verb, "course")
    assert ended.exit_code == 0, ended.output
    assert remote.calls == [f"models {verb}"] and remote.set_meta == []


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("cat >/dev/null; echo 'error: it does not start' >&2; exit 1", 14, "It does not start"),
        # It ends before it has read everything.
        ("echo 'error: another update is under way' >&2; exit 1", 14, "Another update"),
        ("cat >/dev/null; exit 255", 6, "finished there, or undone"),
        ("exit 127", 7, "deploy --recreate"),
    ],
)
def test_a_refusal_is_reported_and_not_noted(
    text: str, code: int, words: str, remote: Remote
) -> None:
    remote.program("stackserve-update", text)
    ended = remote.run("update", "course", "--code")
    assert ended.exit_code == code and words in ended.stderr
    assert remote.set_meta == []


def test_a_model_that_is_refused_is_not_activated(remote: Remote, tmp_path: Path) -> None:
    model = tmp_path / "new.keras"
    model.write_bytes(b"weights")
    refuse = "cat >/dev/null; echo 'Error: its metrics are worse' >&2; exit 1"
    remote.program("stackserve-service", f'echo "$@" >>"$FOLDER/calls"; {refuse}')
    ended = remote.run("update", "course", "--model", str(model))
    assert ended.exit_code == 14 and "Its metrics are worse" in ended.stderr
    assert len(remote.calls) == 1


@pytest.mark.parametrize("verb", ["update", "rollback"])
def test_after_ctrl_c_the_launcher_says_what_the_server_runs(verb: str, remote: Remote) -> None:
    remote.monkeypatch.setenv("LAUNCHER", str(os.getpid()))
    stop = 'cat >/dev/null; kill -INT "$LAUNCHER"; sleep 2'
    remote.program("stackserve-update", f"[ $1 != status ] || exec {STATUS}\n{stop}")
    ended = remote.run(verb, "course", "--code")
    assert ended.exit_code == 130, ended.output
    assert "The server runs code new" in ended.stderr
    assert remote.set_meta == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["update"],
        ["update", "--code", "--model", "diabetes-2"],
        ["update", "--code", "--force"],
        ["update", "--model", "diabetes-2", "--canary", "10%", "--shadow"],
        ["update", "--model", "diabetes-2", "--promote-after", "30m"],
        ["update", "--model", "diabetes-2", "--shadow", "--if-healthy"],
        ["update", "--model", "no-such-file.keras"],
    ],
)
def test_flags_that_do_not_go_together_send_nothing(wrong: list[str], remote: Remote) -> None:
    ended = remote.run(*wrong)
    assert ended.exit_code == 2, ended.output
    assert remote.calls == []


def test_the_answer_in_json_says_the_code(remote: Remote) -> None:
    ended = remote.run("update", "course", "--code", "--json")
    assert ended.exit_code == 0, ended.output
    answer = json.loads(ended.stdout[ended.stdout.index('{\n  "name"') :])
    assert answer["name"] == "course" and answer["code"]
