"""How much memory the lab's processes take, shared pages counted once."""

from __future__ import annotations

from pathlib import Path


def namespace_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


def proportional(pid: int) -> int:
    """KiB of a process, each shared page divided by its users; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def by_unit(first: int) -> dict[int, int]:
    """Pid inside the lab of each unit's process -> MiB of it and all that it started."""
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
    """The session of a process as the lab numbers it: the pid of the unit that it is of."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSsid:")), 0)
