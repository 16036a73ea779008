"""Checks whether the lab can run on this machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from openstack_lab.errors import RefusedError

SUPPORTED = ("debian", "ubuntu")
GIB = 2**30
# Real guests or not -> bytes. The control plane uses 3 to 4 GiB, a guest with the service 3 more.
MEMORY = {True: 7 * GIB, False: 4 * GIB}
# Packages, environment, image and disks of guests.
DISK = {True: 12 * GIB, False: 4 * GIB}


@dataclass(frozen=True)
class Facts:
    """The properties of a machine that the checks need."""

    user_id: int
    system: str
    like: str
    machine: str
    memory: int
    free_disk: int
    tun: bool
    apt: bool


def gather(folder: Path) -> Facts:
    system, like = _os_release()
    existing = folder
    while not existing.exists():
        existing = existing.parent
    return Facts(
        user_id=os.geteuid(),
        system=system,
        like=like,
        machine=os.uname().machine,
        memory=_available_memory(),
        free_disk=shutil.disk_usage(existing).free,
        tun=Path("/dev/net/tun").exists(),
        apt=shutil.which("apt-get") is not None,
    )


def _os_release() -> tuple[str, str]:
    path = Path("/etc/os-release")
    if not path.exists():
        return "unknown", ""
    lines = (line.partition("=") for line in path.read_text().splitlines())
    values = {key: value.strip('"') for key, _, value in lines}
    return values.get("ID", "unknown"), values.get("ID_LIKE", "")


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def refusals(facts: Facts, *, real: bool, fresh: bool) -> list[tuple[str, str]]:
    """Every reason why the lab cannot run, with its remedy. `fresh`: it is not running yet."""
    found = []
    if facts.user_id != 0:
        found.append(("The lab needs root to create namespaces and bridges.", "Run it with sudo."))
    if not {facts.system, *facts.like.split()} & set(SUPPORTED) or not facts.apt:
        found.append(
            (
                f"The lab runs on Debian and Ubuntu; this is {facts.system}.",
                "Use a Debian 12 machine or VM.",
            )
        )
    if facts.machine != "x86_64":
        found.append((f"The lab runs on x86_64, not on {facts.machine}.", "Use an x86_64 machine."))
    if not facts.tun:
        found.append(
            ("/dev/net/tun is missing; guest networks need it.", "Load the module: modprobe tun")
        )
    if fresh and facts.memory < MEMORY[real]:
        less = ", or use `--hypervisor fake`, which needs 4 GiB" if real else ""
        found.append(
            (
                f"{facts.memory / GIB:.1f} GiB of memory is available; "
                f"the lab needs {MEMORY[real] / GIB:.0f}.",
                f"Stop other programs{less}.",
            )
        )
    if fresh and facts.free_disk < DISK[real]:
        found.append(
            (
                f"{facts.free_disk / GIB:.1f} GiB of disk space is free; "
                f"the lab needs {DISK[real] / GIB:.0f}.",
                "Free some space, or use another disk with --folder.",
            )
        )
    return found


def refuse(found: list[tuple[str, str]]) -> None:
    """Report all reasons at once."""
    if found:
        raise RefusedError(
            "\n".join(problem for problem, _ in found), "\n".join(remedy for _, remedy in found)
        )
