"""Starting process 1 of the lab in namespaces of its own, finding it again, entering them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from openstack_lab import control
from openstack_lab.errors import BrokenServiceError, NotRunningError, RefusedError
from openstack_lab.layout import PACKAGE, SCRIPTS, Layout

HOSTNAME = "lab"
KINDS = ("mount", "net", "pid", "uts", "ipc")
# Daemons that have their paths compiled in get folders of the lab over the system's.
SYSTEM_FOLDERS = (
    "/etc/libvirt",
    "/var/lib/libvirt",
    "/var/cache/libvirt",
    "/var/log/libvirt",
    "/etc/openvswitch",
    "/var/lib/openvswitch",
    "/var/log/openvswitch",
)


def base_environment(layout: Layout) -> dict[str, str]:
    """What every process of the lab gets; nothing of the caller's, so no proxy gets between."""
    return {
        "PATH": f"{layout.venv}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(layout.state),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def own_environment(layout: Layout) -> dict[str, str]:
    """For the few that run this package; the others stay as they are when the checkout moves."""
    return {**base_environment(layout), "PYTHONPATH": str(SCRIPTS)}


def start(layout: Layout) -> None:
    """Start the supervisor and wait until it answers."""
    plan = _write_plan(layout)
    command = [
        "unshare",
        *(f"--{kind}" for kind in KINDS),
        "--fork",
        "--kill-child=SIGKILL",
        str(layout.python),
        "-m",
        "openstack_lab.inside",
        str(plan),
        str(layout.units),
        str(layout.control),
        str(layout.logs),
        str(layout.markers),
    ]
    log = layout.logs / "supervisor.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            env=own_environment(layout),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            start_new_session=True,
        )
    record = {
        "pid": process.pid,
        "started": _start_time(process.pid),
        "version": version(),
        "network": str(layout.settings.network),
    }
    layout.process.write_text(json.dumps(record))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            control.ask(layout.control, "status", timeout=5)
        except NotRunningError:
            time.sleep(0.1)
            continue
        return
    raise BrokenServiceError("The lab's supervisor did not start.", f"Look into {log}.")


def _write_plan(layout: Layout) -> Path:
    folders = {}
    for target in SYSTEM_FOLDERS:
        source = layout.data("system") / target.strip("/").replace("/", "-")
        source.mkdir(parents=True, exist_ok=True)
        folders[target] = str(source)
    files = {
        "/etc/hosts": str(layout.conf("system") / "hosts"),
        "/etc/resolv.conf": str(layout.conf("system") / "resolv.conf"),
    }
    plan = layout.run / "inside.json"
    plan.write_text(json.dumps({"folders": folders, "files": files, "hostname": HOSTNAME}))
    return plan


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks: with the pid it names one process for ever."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def version() -> str:
    """A fingerprint of the code that runs as process 1 and reads the declarations."""
    digest = hashlib.sha256()
    for name in ("supervisor.py", "running.py", "unit.py", "health.py", "control.py", "inside.py"):
        digest.update((PACKAGE / name).read_bytes())
    return digest.hexdigest()[:16]


def refuse_other(layout: Layout) -> None:
    """A running lab of another version or network cannot be changed into this one."""
    if not process_one(layout):
        return
    record = json.loads(layout.process.read_text())
    again = f"Stop it first: scripts/lab down --folder {layout.folder}; then `up` again."
    if record.get("version") != version():
        raise RefusedError("The running lab was started by another version of scripts/lab.", again)
    if record.get("network") != str(layout.settings.network):
        raise RefusedError(f"The running lab has the network {record.get('network')}.", again)


def _recorded(layout: Layout) -> int:
    """The pid of our own `unshare`, 0 when it does not run."""
    try:
        record = json.loads(layout.process.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    pid = int(record["pid"])
    return pid if record["started"] and _start_time(pid) == record["started"] else 0


def process_one(layout: Layout) -> int:
    """The machine's pid of the lab's process 1, 0 when the lab does not run."""
    parent = _recorded(layout)
    if not parent:
        return 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            return int(status.parent.name)
    return 0


def enter(layout: Layout, command: list[str]) -> list[str]:
    """The command that runs `command` inside the lab's namespaces."""
    pid = process_one(layout)
    if not pid:
        raise NotRunningError("The lab is not running.", "Start it: sudo scripts/lab up")
    return ["nsenter", f"--target={pid}", *(f"--{kind}" for kind in KINDS), "--", *command]


def stop(layout: Layout, patience: float = 60.0) -> None:
    """Ask process 1 to end all in order; after `patience` the kernel does it at once."""
    parent, inner = _recorded(layout), process_one(layout)
    if inner:
        os.kill(inner, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while parent and _alive(parent):
        if time.monotonic() > deadline and inner:
            os.kill(inner, signal.SIGKILL)
            deadline += 10
        time.sleep(0.1)
    layout.process.unlink(missing_ok=True)
    layout.control.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # when it is our own child
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
