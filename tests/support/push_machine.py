"""A machine that takes `git push`: real accounts, sshd, sudo and git, in a mount namespace.

Its /etc, /usr/local, /var/lib, /opt and /root are layers above this machine's, so accounts and
files that are created there are gone with it. systemd does not run in it:
`systemd_run.py` stands in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from production_server.local.rabbitmq import free_port
from tests.support.service import ROOT
from tests.support.ssh_server import SSH, make_key

BIN = ROOT / "cloud-init" / "roles" / "server" / "bin"
PATHS = "/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = ("sshd", "sudo", "git-shell", "visudo")
SETUP = """set -eu
mount -t tmpfs tmpfs {folder}/layers
for place in etc usr/local var/lib opt root; do
    layer={folder}/layers/$place
    mkdir -p "$layer/up" "$layer/work"
    mount -t overlay overlay -o "lowerdir=/$place,upperdir=$layer/up,workdir=$layer/work" "/$place"
done
# The interpreter may be in root's home, and other accounts need it.
chmod 711 /root
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /opt/stackserve/app /opt/stackserve/venv /etc/stackserve
mount --bind {root} /opt/stackserve/app
mount --bind {venv} /opt/stackserve/venv
cp {bin}/stackserve-git {folder}/programs/* /usr/local/sbin/
chmod 755 /usr/local/sbin/*
mkdir -p /var/lib/stackserve
mount --bind {home} /var/lib/stackserve
echo STACKSERVE_HOME=/var/lib/stackserve >/etc/stackserve/server.env
cp /etc/stackserve/server.env /etc/stackserve/settings.env
getent passwd sshd >/dev/null || useradd --system --home-dir /run/sshd sshd
exec {sshd} -D -e -f {folder}/sshd_config
"""
SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {host_key}
UsePAM yes
PidFile none
LogLevel DEBUG1
AcceptEnv LANG LC_* GIT_*
"""


def can_run() -> bool:
    """Whether such a machine can be had here: by root, with the packages it consists of."""
    programs = all(shutil.which(name, path=PATHS) for name in NEEDED)
    return os.geteuid() == 0 and programs


class PushMachine:
    """The machine, as a context manager."""

    def __init__(self, folder: Path, home: Path, programs: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        for name in ("layers", "programs"):
            (folder / name).mkdir(parents=True)
        self.host_key = make_key(folder / "host_key")
        self.known_hosts = folder / "known_hosts"
        key = " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}\n")
        self.home = home
        for name, text in programs.items():
            (folder / "programs" / name).write_text(text)
        config = SSHD.format(port=self.port, host_key=self.host_key)
        (folder / "sshd_config").write_text(config)

    def __enter__(self) -> PushMachine:
        setup = SETUP.format(
            folder=self.folder,
            home=self.home,
            root=ROOT,
            venv=Path(sys.prefix),
            bin=BIN,
            sshd=shutil.which("sshd", path=PATHS),
        )
        self.log = (self.folder / "sshd.log").open("w")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", setup],
            stdout=self.log,
            stderr=self.log,
        )
        until = time.monotonic() + 30
        while "Server listening" not in self.logs():
            assert self.process.poll() is None and time.monotonic() < until, self.logs()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()

    def logs(self) -> str:
        return (self.folder / "sshd.log").read_text()

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self.process.pid}", "--mount", "--"]

    def inside(self, *command: str, data: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command there, as root."""
        return subprocess.run(
            [*self._enter, *command],
            input=data,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command there, as root."""
        return subprocess.Popen([*self._enter, *command], stdout=subprocess.PIPE, text=True)

    def add_key(self, name: str, *flags: str) -> Path:
        """Make a key pair and allow its public key. Returns the private key."""
        key = make_key(self.folder / "keys" / name)
        self.git_keys("add-key", name, *flags, data=key.with_suffix(".pub").read_text())
        return key

    def git_keys(self, *words: str, data: str = "") -> Any:
        done = self.inside("/usr/local/sbin/stackserve-git", *words, "--json", data=data)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ssh_command(self, key: Path) -> list[str]:
        return [
            *[SSH, "-F", "none", "-i", str(key), "-p", str(self.port)],
            *["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"],
            *["-o", f"UserKnownHostsFile={self.known_hosts}"],
        ]

    def ssh(self, key: Path, *words: str, data: str = "") -> subprocess.CompletedProcess[str]:
        """What a client with this key gets."""
        return subprocess.run(
            [*self.ssh_command(key), "deploy@127.0.0.1", *words],
            input=data,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def forward(self, key: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """ssh with options that come before the address."""
        return subprocess.run(
            [*self.ssh_command(key), *options, "deploy@127.0.0.1"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def url(self) -> str:
        return f"ssh://deploy@127.0.0.1:{self.port}/production.git"


class Clone:
    """Somebody's repository, with `production` as its remote."""

    def __init__(self, folder: Path, machine: PushMachine, key: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_SSH_COMMAND": " ".join(machine.ssh_command(key)),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **{f"GIT_{who}_NAME": "Anna" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "anna@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "production", machine.url)

    def git(self, *words: str) -> str:
        done = self.try_git(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def try_git(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def commit(self, message: str = "A new version") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def push(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.try_git("push", *(words or ("--force", "production", "main")))
