"""Keeps the repository from growing without limit: a large one keeps its last commits alone.

Git calls a repository whose history was cut shallow; pushes to it and clones of it work as before.
Root says where the history ends; git itself then runs as the account that owns the objects.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from production_server.gitpush.install import write_program
from production_server.gitpush.layout import (
    BRANCHES,
    KEPT_COMMITS,
    LARGEST_REPOSITORY,
    MB,
    Layout,
)

# What an upload that was cut off leaves behind.
LEFTOVERS = "tmp_objdir-*"
DAY = 86400.0


def shorten(layout: Layout, largest: int = LARGEST_REPOSITORY) -> bool:
    """Forget old versions if the repository is large. Returns whether it did."""
    objects = layout.repository / "objects"
    _remove_leftovers(objects)
    if _size(objects) <= largest:
        return False
    print(
        f"The repository is over {largest // MB} MB: it keeps its last {KEPT_COMMITS} commits.",
        flush=True,
    )
    git = _Git(layout)
    kept = git.lines(
        "rev-list", "--first-parent", f"--max-count={KEPT_COMMITS}", *git.lines(*_BRANCHES)
    )
    ends = [commit for commit in kept if set(git.parents(commit)) - set(kept)]
    ended = layout.repository / "shallow"
    write_program(ended, "".join(f"{commit}\n" for commit in ends), 0o644)
    # Pushes come as packs, so what the new pack lacks is gone with the old ones.
    git.lines("repack", "-a", "-d", "-n", "-q")
    return True


_BRANCHES = ("for-each-ref", "--format=%(refname)", *BRANCHES)


@dataclass(frozen=True)
class _Git:
    layout: Layout

    def lines(self, *words: str) -> list[str]:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "GIT_CONFIG_SYSTEM": str(self.layout.config),
        }
        as_owner = ["runuser", "-u", self.layout.account, "--"]
        command = [*as_owner, "git", "-C", str(self.layout.repository), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def parents(self, commit: str) -> list[str]:
        """As the commit itself has them, also where the history was cut before."""
        head = itertools.takewhile(bool, self.lines("cat-file", "commit", commit))
        return [line.split()[1] for line in head if line.startswith("parent ")]


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _remove_leftovers(objects: Path) -> None:
    for folder in objects.glob(LEFTOVERS):
        if time.time() - folder.lstat().st_mtime > DAY:
            shutil.rmtree(folder, ignore_errors=True)
