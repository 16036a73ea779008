"""A share of the processor for each worker host: control groups, of version 2 or 1."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "stackserve-scale-"
# Microseconds. With the usual 100 ms, a host at a quarter of a core would pause for 75 ms.
PERIOD = 20_000
REMOVE_SECONDS = 5.0


@dataclass(frozen=True)
class Group:
    """A control group whose processes share a quota."""

    path: Path
    unified: bool

    def child(self, name: str) -> Group:
        """Make a group in this one."""
        if self.unified:
            (self.path / "cgroup.subtree_control").write_text("+cpu")
        path = self.path / name
        path.mkdir()
        return Group(path, self.unified)

    def command(self, words: list[str]) -> list[str]:
        """The command that runs another in this group: a process joins by writing 0."""
        join = 'echo 0 > "$0" && exec "$@"'
        return ["sh", "-c", join, str(self.path / "cgroup.procs"), *words]

    def prefer(self) -> None:
        """Give it ten times the weight of the groups beside it, if the processor is busy."""
        name, weight = ("cpu.weight", 1000) if self.unified else ("cpu.shares", 10_240)
        (self.path / name).write_text(str(weight))

    def limit(self, percent: int | None) -> None:
        """Allow this share of one core, or any."""
        quota = None if percent is None else PERIOD * percent // 100
        if self.unified:
            (self.path / "cpu.max").write_text(f"{'max' if quota is None else quota} {PERIOD}")
            return
        (self.path / "cpu.cfs_period_us").write_text(str(PERIOD))
        (self.path / "cpu.cfs_quota_us").write_text(str(-1 if quota is None else quota))

    def remove(self) -> None:
        """Remove the group and those in it. Its processes have ended, but perhaps only just."""
        for inner in [path for path in self.path.iterdir() if path.is_dir()]:
            Group(inner, self.unified).remove()
        give_up = time.monotonic() + REMOVE_SECONDS
        while True:
            try:
                self.path.rmdir()
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.05)
            else:
                return


def top(root: Path = ROOT) -> Group:
    """The group of the whole machine that controls the processor."""
    controllers = root / "cgroup.controllers"
    if controllers.exists() and "cpu" in controllers.read_text().split():
        return Group(root, unified=True)
    if (root / "cpu" / "cpu.cfs_quota_us").exists() or (root / "cpu" / "cgroup.procs").exists():
        return Group(root / "cpu", unified=False)
    raise SystemExit(
        f"No control group at {root} limits the processor. Run this on the machine itself, or in a "
        "container that may use control groups (--privileged)."
    )


def own_group(machine: Group) -> Group:
    """A group for this run. Those of runs that were killed are removed."""
    for left in machine.path.glob(f"{PREFIX}*"):
        if not Path("/proc", left.name.removeprefix(PREFIX)).exists():
            with suppress(OSError):
                Group(left, machine.unified).remove()
    try:
        return machine.child(f"{PREFIX}{os.getpid()}")
    except OSError as error:
        raise SystemExit(f"Cannot make a control group in {machine.path}: {error}") from error
