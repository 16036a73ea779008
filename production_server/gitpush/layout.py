"""Where everything for `git push` is on a server, and its limits.

Root owns all of it, except the repository's objects and branches: so no push, and nothing that
takes over the account, can change a hook, a key or the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = "production.git"
BRANCHES = ("refs/heads/main", "refs/heads/master")
MB = 1_000_000
# What git accepts in one push, compressed, and what its files may have, unpacked.
MOST_BYTES = 256 * MB
# A repository that is larger keeps only its last commits.
LARGEST_REPOSITORY = 1_000 * MB
KEPT_COMMITS = 3
# What the hook post-receive tells the program that root runs.
TAKEN = "taken"
# Seconds that a push may take, and that the next one waits for it.
LONGEST_PUSH = 1800
LONGEST_WAIT = 600


@dataclass(frozen=True)
class Layout:
    """The paths, and how programs are called. Tests have their own."""

    account: str = "deploy"
    home: Path = Path("/var/lib/stackserve-git")
    sudoers: Path = Path("/etc/sudoers.d/stackserve-git")
    program: Path = Path("/usr/local/sbin/stackserve-git-receive")
    app: Path = Path("/opt/stackserve/app")
    python: str = "/opt/stackserve/venv/bin/python"
    become_root: tuple[str, ...] = ("/usr/bin/sudo", "-n")

    @property
    def repository(self) -> Path:
        return self.home / REPOSITORY

    @property
    def authorized_keys(self) -> Path:
        return self.home / ".ssh" / "authorized_keys"

    @property
    def hooks(self) -> Path:
        return self.home / "hooks"

    @property
    def config(self) -> Path:
        """It takes the place of /etc/gitconfig for pushes."""
        return self.home / "git.config"

    @property
    def serve(self) -> Path:
        """The only command of the account. git-shell runs nothing outside this folder."""
        return self.home / "git-shell-commands" / "serve"

    @property
    def lock(self) -> Path:
        return self.home / "push.lock"


ON_SERVER = Layout()
