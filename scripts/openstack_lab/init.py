"""Process 1 of the lab: mounts its own /proc, /sys, /run and /dev, then becomes the supervisor.

The mounts are invisible outside the namespaces, and end with the last process.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

from openstack_lab import supervisor

# Name -> major and minor number of the devices that the daemons and QEMU use. Without /dev/kvm:
# where guests hang in it, libvirt would probe QEMU for a minute per guest.
DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "net/tun": (10, 200),
}
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
RUN_FOLDERS = ("lock", "netns", "openvswitch", "libvirt", "sudo")


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def prepare(plan: dict[str, dict[str, str]], hostname: str) -> None:
    """Mount /proc, /sys, /run and /dev, and the lab's files over some of the system's."""
    socket.sethostname(hostname)
    files = {os.path.realpath(target): source for target, source in plan["files"].items()}
    mount("-t", "proc", "proc", "/proc")
    mount("-t", "sysfs", "sysfs", "/sys")
    mount("-t", "tmpfs", "-o", "mode=755", "lab-run", "/run")
    for name in RUN_FOLDERS:
        (Path("/run") / name).mkdir()
    _mount_devices()
    for target, source in plan["folders"].items():
        if Path(target).is_dir():
            mount("--bind", source, target)
    for target, source in files.items():
        path = Path(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        mount("--bind", source, target)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def _mount_devices() -> None:
    """Mount a /dev with the devices that are needed."""
    staging = Path("/run/dev")
    staging.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "lab-dev", str(staging))
    os.umask(0)
    for name in ("net", "pts", "shm"):
        (staging / name).mkdir(mode=0o755)
    for name, (major, minor) in DEVICES.items():
        os.mknod(staging / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
    for name, target in {**LINKS, "ptmx": "pts/ptmx"}.items():
        (staging / name).symlink_to(target)
    os.umask(0o022)
    mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=620,gid=5", "pts", f"{staging}/pts")
    mount("-t", "tmpfs", "-o", "mode=1777", "lab-shm", f"{staging}/shm")
    mount("--move", str(staging), "/dev")
    staging.rmdir()


def main(arguments: list[str]) -> None:
    """`python -m openstack_lab.init PLAN UNITS SOCKET LOGS MARKERS`."""
    plan = json.loads(Path(arguments[0]).read_text())
    prepare({"folders": plan["folders"], "files": plan["files"]}, plan["hostname"])
    supervisor.main(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
