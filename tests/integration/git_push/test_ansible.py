"""The playbook for a development server: ansible-lint, and runs against a machine with sshd."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.push_machine import PushMachine
from tests.support.service import ROOT
from tests.support.ssh_server import make_key

PLAYBOOK = ROOT / "scripts" / "ansible" / "development.yml"
LOCK = ROOT / "tests" / "ansible.requirements.txt"


@pytest.fixture(scope="module")
def ansible(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder with Ansible's programs, in an environment of its own."""
    folder = tmp_path_factory.mktemp("ansible")
    uv = str(Path(sys.prefix) / "bin" / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    done = subprocess.run(
        [
            *[uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")],
            *["--require-hashes", "--requirements", str(LOCK)],
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        missing = f"Ansible cannot be installed: {done.stderr[-500:]}"
        (pytest.fail if request.config.getoption("--all") else pytest.skip)(missing)
    return folder / "bin"


def run(ansible: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=PLAYBOOK.parent,
        env={
            "PATH": f"{ansible}:{os.environ['PATH']}",
            "HOME": str(ansible.parent),
            "LANG": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.long
def test_ansible_lint_finds_nothing(ansible: Path) -> None:
    done = run(ansible, "ansible-lint", "--offline", "--strict", PLAYBOOK.name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_a_second_run_changes_nothing(ansible: Path, machine: PushMachine, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    home = "/var/lib/tina"
    machine.inside("useradd", "--create-home", "--home-dir", home, "--password", "*", "tina")
    script = f"cd {home}; mkdir -m 700 .ssh; cat >.ssh/authorized_keys; chown -R tina .ssh"
    machine.inside("sh", "-c", script, data=key.with_suffix(".pub").read_text())
    machine.inside("tee", "/etc/sudoers.d/tina", data="tina ALL=(ALL) NOPASSWD: ALL\n")
    machine.inside(
        "tee", "/etc/host_key.pub", data=machine.host_key.with_suffix(".pub").read_text()
    )
    reached = {
        "ansible_host": "127.0.0.1",
        "ansible_port": machine.port,
        "ansible_user": "tina",
        "ansible_ssh_private_key_file": str(key),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={machine.known_hosts}",
        "host_key_file": "/etc/host_key.pub",
    }
    inventory = tmp_path / "inventory.json"
    groups = {name: {"hosts": {f"{name}-1": reached}} for name in ("development", "production")}
    inventory.write_text(json.dumps(groups))
    # What it installs is here already.
    words = ("-i", str(inventory), "--skip-tags", "packages", PLAYBOOK.name)
    changed = []
    for _ in range(2):
        done = run(ansible, "ansible-playbook", *words)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr
        counts = re.findall(r"changed=(\d+)", done.stdout)
        assert len(counts) == len(groups)
        changed.append(sum(map(int, counts)))
    assert changed[0] > 0
    assert changed[1] == 0
    assert [key["name"] for key in machine.git_keys("list-keys")["keys"]] == ["development-1"]
