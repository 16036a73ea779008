"""Installs the Debian packages that the lab needs, without starting their services."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from openstack_lab.errors import LabError

# Path that must exist -> the package that has it.
NEEDED = {
    "/usr/lib/rabbitmq/bin/rabbitmq-server": "rabbitmq-server",
    "/usr/sbin/mariadbd": "mariadb-server",
    "/usr/sbin/ovs-vswitchd": "openvswitch-switch",
    "/usr/sbin/libvirtd": "libvirt-daemon-system",
    "/usr/bin/virsh": "libvirt-clients",
    "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so": (
        "libvirt-daemon-driver-qemu"
    ),
    "/usr/include/libvirt/libvirt.h": "libvirt-dev",
    "/usr/bin/qemu-system-x86_64": "qemu-system-x86",
    "/usr/bin/qemu-img": "qemu-utils",
    "/usr/sbin/dnsmasq": "dnsmasq-base",
    "/usr/bin/dhcp_release": "dnsmasq-utils",
    "/usr/sbin/ipset": "ipset",
    "/usr/sbin/conntrack": "conntrack",
    "/usr/sbin/haproxy": "haproxy",
    "/usr/bin/arping": "iputils-arping",
    "/usr/bin/ping": "iputils-ping",
    "/usr/sbin/ethtool": "ethtool",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/nft": "nftables",
    "/usr/bin/ip": "iproute2",
    "/usr/bin/mmdebstrap": "mmdebstrap",
    "/usr/bin/genisoimage": "genisoimage",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
    "/usr/sbin/sfdisk": "fdisk",
    "/usr/bin/ssh": "openssh-client",
    "/usr/bin/gcc": "gcc",
    "/usr/bin/pkg-config": "pkg-config",
    "/usr/include/x86_64-linux-gnu/sys/types.h": "libc6-dev",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
}
POLICY_PATH = Path("/usr/sbin/policy-rc.d")
# Exit code 101 forbids to start a service. The process id tells whether the file is still in use.
POLICY = "#!/bin/sh\n# scripts/lab, process {pid}, is installing packages.\nexit 101\n"
POLICY_OWNER = re.compile(r"^# scripts/lab, process (\d+),", re.MULTILINE)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def missing(python_headers: Path) -> list[str]:
    """The packages to install. Compiling uwsgi needs the interpreter's headers, too."""
    wanted = [package for path, package in NEEDED.items() if not Path(path).exists()]
    if not (python_headers / "Python.h").exists():
        wanted.append("python3-dev")
    return sorted(set(wanted))


def install(packages: list[str], log: Path, lock: int) -> None:
    """Install `packages` without starting their services.

    apt holds the lab's lock, too: if `up` is killed, the next one waits for apt.
    """
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
    with no_services_started():
        _run([*apt, "update"], log, lock)
        if _run([*apt, "install", "-y", "--no-install-recommends", *packages], log, lock):
            raise LabError(f"apt-get could not install {' '.join(packages)}.", f"Read {log}.")


def _run(command: list[str], log: Path, lock: int) -> int:
    with log.open("ab") as sink:
        return subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            check=False,
            start_new_session=True,  # so that Ctrl-C does not interrupt dpkg
            pass_fds=(lock,),
        ).returncode


@contextlib.contextmanager
def no_services_started() -> Iterator[None]:
    """Keep apt from starting services; a policy that the machine has itself stays as it is."""
    with _signals_postponed():
        while remove_stale_policy() and _policy_owner():
            time.sleep(0.5)  # another lab is installing packages
        ours = not POLICY_PATH.exists()
        if ours:
            POLICY_PATH.write_text(POLICY.format(pid=os.getpid()))
            POLICY_PATH.chmod(0o755)
        try:
            yield
        finally:
            if ours:
                POLICY_PATH.unlink()


def remove_stale_policy() -> bool:
    """Remove the file that a killed `up` left behind. True if another policy is in place."""
    owner = _policy_owner()
    if owner and not Path(f"/proc/{owner}").exists():
        POLICY_PATH.unlink()
    return POLICY_PATH.exists()


def _policy_owner() -> int:
    """The process id in a policy file of the lab, 0 for none or another's file."""
    found = POLICY_OWNER.search(POLICY_PATH.read_text()) if POLICY_PATH.exists() else None
    return int(found[1]) if found else 0


@contextlib.contextmanager
def _signals_postponed() -> Iterator[None]:
    """Deliver a signal to stop only after the block, so that apt ends in a clean state."""
    received: list[int] = []
    former = {
        number: signal.signal(number, lambda number, _frame: received.append(number))
        for number in SIGNALS
    }
    try:
        yield
    finally:
        for postponed, handler in former.items():
            signal.signal(postponed, handler)
        for number in received[:1]:
            os.kill(os.getpid(), number)
