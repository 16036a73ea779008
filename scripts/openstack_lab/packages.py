"""The system packages that the lab stands on: installed when missing, never started by apt."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from openstack_lab.errors import LabError

# What must exist -> the package that brings it.
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
# Exit code of a policy-rc.d that lets apt start nothing.
POLICY = "#!/bin/sh\nexit 101\n"
POLICY_PATH = Path("/usr/sbin/policy-rc.d")


def missing(python_headers: Path) -> list[str]:
    """The packages to install; uwsgi is compiled, so the interpreter's own headers count too."""
    wanted = [package for path, package in NEEDED.items() if not Path(path).exists()]
    if not (python_headers / "Python.h").exists():
        wanted.append("python3-dev")
    return sorted(set(wanted))


def install(packages: list[str], log: Path) -> None:
    """Install `packages`, and leave the machine's own policy on services as it is."""
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    made = not POLICY_PATH.exists()
    if made:
        POLICY_PATH.write_text(POLICY)
        POLICY_PATH.chmod(0o755)
    try:
        for command in (
            [*apt, "update"],
            [*apt, "install", "-y", "--no-install-recommends", *packages],
        ):
            with log.open("ab") as sink:
                done = subprocess.run(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=sink,
                    check=False,
                )
            if done.returncode and "install" in command:
                raise LabError(
                    f"apt-get could not install {' '.join(packages)}.", f"Look into {log}."
                )
    finally:
        if made:
            POLICY_PATH.unlink()
