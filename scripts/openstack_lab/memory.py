"""Memory of the lab's processes. Shared pages count once."""

from __future__ import annotations

from pathlib import Path


def namespace_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def proportional(pid: int) -> int:
    """The proportional set size of a process in KiB, 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def by_unit(first: int) -> dict[int, int]:
    """Pid of each unit's process inside the lab -> MiB of it and its descendants."""
    where = namespace_of(first)
    members = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if namespace_of(int(entry.name)) == where
    ]
    totals: dict[int, int] = {}
    for pid in members:
        session = _session_inside(pid)
        totals[session] = totals.get(session, 0) + proportional(pid)
    return {session: size // 1024 for session, size in totals.items()}


def _session_inside(pid: int) -> int:
    """The session of a process inside the lab, which is the pid of its unit."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSsid:")), 0)
