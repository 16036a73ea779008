"""What a key for `git push` cannot do, with a real sshd, git-shell, sudo and git."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.push_machine import Clone, PushMachine

HOME = "/var/lib/stackserve-git"
REPOSITORY = f"{HOME}/production.git"
ONLY = "this key can only push to /production.git"
Make = Callable[..., Clone]


@pytest.fixture(scope="module")
def key(machine: PushMachine) -> Path:
    return machine.add_key("mallory")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "id",
        "sh -c id",
        "git-receive-pack '/etc'",
        "git-receive-pack '../production.git'",
        "git-receive-pack '/production.git/../../../etc'",
        "git-receive-pack '/var/lib/stackserve-git/production.git'",
        "git-receive-pack '/production.git'; id",
        "git-receive-pack '/production.git'\nid",
        "git-receive-pack --help '/production.git'",
        "git-upload-archive '/production.git'",
        "git-receive-pack '/production.git' --advertise-refs",
        "serve code root",
        "internal-sftp",
    ],
)
def test_no_other_command_runs(machine: PushMachine, key: Path, command: str) -> None:
    done = machine.ssh(key, command)
    assert done.returncode == 1
    assert ONLY in done.stderr
    assert "uid=" not in done.stdout + done.stderr


def test_nothing_is_forwarded_and_there_is_no_terminal(machine: PushMachine, key: Path) -> None:
    assert "PTY allocation request failed" in machine.forward(key, "-tt").stderr
    options = ("-o", "ExitOnForwardFailure=yes")
    through = machine.forward(key, "-W", f"127.0.0.1:{machine.port}")
    assert "forwarding failed" in through.stderr
    assert "SSH-2.0" not in through.stdout
    back = machine.forward(key, *options, "-R", "0:127.0.0.1:9", "-N")
    assert "remote port forwarding failed" in back.stderr
    socket = machine.forward(key, *options, "-R", f"{machine.folder}/socket:127.0.0.1:9", "-N")
    assert "forwarding failed" in socket.stderr


def test_a_password_is_never_asked_for(machine: PushMachine) -> None:
    stranger = machine.folder / "stranger"
    from tests.support.ssh_server import make_key

    assert "Permission denied" in machine.ssh(make_key(stranger), "id").stderr
    shadow = machine.inside("getent", "shadow", "deploy").stdout
    assert shadow.split(":")[1] == "*"


@pytest.mark.parametrize(
    "path",
    [
        *[HOME, f"{HOME}/hooks", f"{HOME}/hooks/pre-receive", f"{HOME}/hooks/post-receive"],
        *[f"{HOME}/git.config", f"{HOME}/.ssh", f"{HOME}/.ssh/authorized_keys"],
        *[f"{HOME}/git-shell-commands", f"{HOME}/git-shell-commands/serve"],
        *[f"{REPOSITORY}/config", f"{REPOSITORY}/HEAD", "/etc/sudoers.d/stackserve-git"],
        "/usr/local/sbin/stackserve-git-receive",
    ],
)
def test_the_account_cannot_change_what_guards_it(
    machine: PushMachine, key: Path, path: str
) -> None:
    assert machine.inside("test", "-e", path).returncode == 0
    script = f"echo >> {path}; mv {path} {path}.old; rm -f {path}; touch {path}/x"
    as_account = ("runuser", "-u", "deploy", "--", "sh", "-c")
    before = machine.inside("sh", "-c", f"ls -lR {path}; cat {path}").stdout
    machine.inside(*as_account, script)
    assert machine.inside("sh", "-c", f"ls -lR {path}; cat {path}").stdout == before


@pytest.mark.parametrize(
    "command",
    [
        "id",
        "/usr/local/sbin/stackserve-git list-keys",
        "/usr/local/sbin/stackserve-git-receive x",
        "PYTHONPATH=/tmp /usr/local/sbin/stackserve-git-receive",
    ],
)
def test_sudo_runs_one_program_without_arguments(
    machine: PushMachine, key: Path, command: str
) -> None:
    done = machine.inside("runuser", "-u", "deploy", "--", "sudo", "-n", *command.split())
    assert done.returncode == 1
    assert "sudo: " in done.stderr


def test_the_program_that_root_runs_takes_no_garbage(machine: PushMachine, key: Path) -> None:
    as_account = ("runuser", "-u", "deploy", "--", "sudo", "-n")
    for data in (
        *[
            "",
            "x\n",
            "{}\n",
            "[]\n",
            "9" * 2000,
            '{"kind": "shell", "pusher": "a", "commit": "b"}\n',
        ],
        '{"kind": "model", "pusher": "-x", "commit": "b"}\n',
        '{"kind": "model", "pusher": "a", "commit": "$(id)"}\n',
        '{"kind": "model", "pusher": "a", "commit": "b"}\nno tar',
    ):
        done = machine.inside(*as_account, "/usr/local/sbin/stackserve-git-receive", data=data)
        assert done.returncode == 1, data
        assert "error: " in done.stderr
        assert "Traceback" not in done.stderr


def test_only_main_and_master_exist(clone: Make) -> None:
    eve = clone("eve")
    (eve.folder / "model.json").write_text("{}")
    eve.commit()
    eve.git("tag", "v1")
    for target in ("main:other", "v1", "main:refs/config", "main:refs/heads/main/../x"):
        pushed = eve.push("production", target)
        assert pushed.returncode != 0, target
    assert "other is not a branch of production" in eve.push("production", "main:other").stderr
    both = eve.push("--force", "production", "main:main", "main:master")
    assert "one push can change one branch" in both.stderr


def test_git_itself_takes_nothing_from_the_pusher(clone: Make, machine: PushMachine) -> None:
    eve = clone("eve")
    (eve.folder / "hooks").mkdir()
    for name in ("pre-receive", "post-receive", "update"):
        hook = eve.folder / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {machine.folder}/owned\n")
        hook.chmod(0o755)
    eve.commit()
    settings = {"core.hooksPath": "/tmp", "receive.fsckObjects": "false"}
    ssh = eve.environment["GIT_SSH_COMMAND"] + " -o SendEnv=GIT_*"
    eve.environment.update(
        {"GIT_SSH_COMMAND": ssh, "GIT_CONFIG_PARAMETERS": "'core.hooksPath=/tmp'"}
    )
    for number, (name, value) in enumerate(settings.items()):
        eve.environment[f"GIT_CONFIG_KEY_{number}"] = name
        eve.environment[f"GIT_CONFIG_VALUE_{number}"] = value
    eve.environment["GIT_CONFIG_COUNT"] = str(len(settings))
    assert "the tree has no model and no code" in eve.push().stderr
    other = eve.push("--receive-pack=git-receive-pack --upload", "production", "main")
    assert ONLY in other.stderr
    assert "push options" in eve.push("-o", "x=y", "production", "main").stderr
    assert not (machine.folder / "owned").exists()


def test_links_and_submodules_are_refused(clone: Make) -> None:
    eve = clone("eve")
    (eve.folder / "model.keras").symlink_to("/etc/passwd")
    eve.commit()
    assert "model.keras is a symbolic link" in eve.push().stderr
    (eve.folder / "model.keras").unlink()
    head = eve.git("rev-parse", "HEAD").strip()
    eve.git("add", "--all")
    eve.git("update-index", "--add", "--cacheinfo", f"160000,{head},library")
    eve.git("commit", "--quiet", "--message", "A submodule")
    assert "library is a submodule" in eve.push().stderr
    (eve.folder / ".gitmodules").write_text(
        '[submodule "a"]\n\tpath = a\n\turl = "--upload-pack=touch /tmp/x"\n'
    )
    eve.git("add", ".gitmodules")
    eve.git("commit", "--quiet", "--message", "A command in it")
    assert "gitmodulesUrl" in eve.push().stderr


def test_a_huge_file_is_refused_before_it_fills_the_disk(
    clone: Make, machine: PushMachine, key: Path
) -> None:
    eve = clone("eve")
    # Small as git sends it, huge unpacked.
    (eve.folder / "card.json").write_text("{}")
    with (eve.folder / "model.keras").open("wb") as file:
        file.truncate(300_000_000)
    eve.commit()
    assert "a push may bring 256" in eve.push().stderr
    # Huge as git sends it. The limit is lower here, for the sake of time.
    config = machine.inside("cat", f"{HOME}/git.config").stdout
    lower = config.replace("maxInputSize = 256000000", "maxInputSize = 4000000")
    assert lower != config
    before = objects(machine)
    try:
        machine.inside("tee", f"{HOME}/git.config", data=lower)
        (eve.folder / "model.keras").write_bytes(os.urandom(8_000_000))
        eve.commit()
        assert "exceeds maximum allowed size" in eve.push().stderr
    finally:
        machine.inside("tee", f"{HOME}/git.config", data=config)
    assert objects(machine) == before


def objects(machine: PushMachine) -> int:
    """The bytes in the repository."""
    return int(machine.inside("du", "-sb", f"{REPOSITORY}/objects").stdout.split()[0])


def test_a_removed_key_opens_nothing(machine: PushMachine) -> None:
    key = machine.add_key("once")
    assert machine.git_keys("remove-key", "once")["changed"]
    assert "Permission denied" in machine.ssh(key, "id").stderr
    assert not machine.git_keys("remove-key", "once")["changed"]
