"""Starts process 1 of the lab in its own namespaces, finds it, stops it, and enters them."""

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
from openstack_lab.lab import write_private
from openstack_lab.layout import PACKAGE, SCRIPTS, Layout

HOSTNAME = "lab"
# Seconds that `unshare` has to start process 1, or to exit after it.
CHILDLESS = 5.0
KINDS = ("mount", "net", "pid", "uts", "ipc")
# Folders of the lab are mounted here, because these paths are compiled into daemons.
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
    """The environment of the lab's processes: without the caller's variables, such as proxies."""
    return {
        "PATH": f"{layout.venv}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(layout.state),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def own_environment(layout: Layout) -> dict[str, str]:
    """For units that run this package. The others do not depend on the path of the checkout."""
    return {**base_environment(layout), "PYTHONPATH": str(SCRIPTS)}


def start(layout: Layout) -> None:
    """Start the supervisor and wait until it answers."""
    if _recorded(layout):  # an `unshare` that was interrupted before it had a child
        stop(layout)
    plan = _write_plan(layout)
    command = [
        "unshare",
        *(f"--{kind}" for kind in KINDS),
        "--fork",
        "--kill-child=SIGKILL",
        str(layout.python),
        "-m",
        "openstack_lab.init",
        str(plan),
        str(layout.units),
        str(layout.control),
        str(layout.logs),
        str(layout.markers),
    ]
    _run_once_recorded(layout, command)
    wait_until_it_answers(layout)


def _run_once_recorded(layout: Layout, command: list[str]) -> None:
    """Run `command` in the background, but only after its process id is on disk.

    If we are killed before that, the pipe closes and the shell exits without running it: no
    supervisor runs that the next `up` would not find.
    """
    behind_pipe = ["sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh", *command]
    reading, writing = os.pipe()
    with _log(layout).open("ab") as sink:
        process = subprocess.Popen(
            behind_pipe,
            env=own_environment(layout),
            stdin=reading,
            stdout=sink,
            stderr=sink,
            cwd="/",
            start_new_session=True,
        )
    os.close(reading)
    record = {
        "pid": process.pid,
        "started": _start_time(process.pid),
        "version": version(),
        "network": str(layout.settings.network),
    }
    write_private(layout.supervisor, json.dumps(record))
    with os.fdopen(writing, "wb") as gate, contextlib.suppress(BrokenPipeError):
        gate.write(b"\n")


def _log(layout: Layout) -> Path:
    return layout.logs / "supervisor.log"


def wait_until_it_answers(layout: Layout, patience: float = 30.0) -> None:
    """Wait for a supervisor that was just started, by this `up` or by an interrupted one."""
    deadline = time.monotonic() + patience
    pid = _recorded(layout)
    while pid and _alive(pid) and time.monotonic() < deadline:
        try:
            control.ask(layout.control, "status", timeout=5)
        except NotRunningError:
            time.sleep(0.1)
            continue
        return
    raise BrokenServiceError(
        "The lab's supervisor does not answer.",
        f"Read {_log(layout)}. Then run `scripts/lab down` and `scripts/lab up`.",
    )


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
    plan = layout.run / "init.json"
    plan.write_text(json.dumps({"folders": folders, "files": files, "hostname": HOSTNAME}))
    return plan


def _start_time(pid: int) -> str:
    """Start time of a process in clock ticks. With the pid, it identifies the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def version() -> str:
    """A fingerprint of the code that runs in process 1."""
    digest = hashlib.sha256()
    for name in ("supervisor.py", "process.py", "unit.py", "health.py", "control.py", "init.py"):
        digest.update((PACKAGE / name).read_bytes())
    return digest.hexdigest()[:16]


def refuse_other(layout: Layout) -> None:
    """Refuse if the running lab has another version of the code or another network."""
    if not process_one(layout):
        return
    record = json.loads(layout.supervisor.read_text())
    again = f"Stop it: scripts/lab down --folder {layout.folder}. Then run `up` again."
    if record.get("version") != version():
        raise RefusedError("The running lab was started by another version of scripts/lab.", again)
    if record.get("network") != str(layout.settings.network):
        raise RefusedError(f"The running lab has the network {record.get('network')}.", again)


def _recorded(layout: Layout) -> int:
    """The pid of our `unshare`, 0 if it is not running."""
    try:
        record = json.loads(layout.supervisor.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    pid = int(record["pid"])
    return pid if record["started"] and _start_time(pid) == record["started"] else 0


def process_one(layout: Layout) -> int:
    """The pid of the lab's process 1 on this machine, 0 if the lab is not running."""
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
    """Ask process 1 to stop everything in order; after `patience` the kernel does it at once."""
    parent = _recorded(layout)
    deadline = time.monotonic() + patience
    childless_until = time.monotonic() + min(patience, CHILDLESS)
    while parent and _alive(parent):
        inner = process_one(layout)
        now = time.monotonic()
        if inner:
            # Repeated, because process 1 ignores signals until it has installed its handlers.
            _signal(inner, signal.SIGKILL if now > deadline else signal.SIGTERM)
        elif now > childless_until:
            _signal(parent, signal.SIGKILL)
        time.sleep(0.1)
    layout.supervisor.unlink(missing_ok=True)
    layout.control.unlink(missing_ok=True)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # if it is our child
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
