"""Tests whether hardware virtualization works, by booting a guest's kernel.

Some machines have a /dev/kvm, but guests hang in it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from openstack_lab.guest.build import Guest
from openstack_lab.layout import Layout

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Seconds. With a working KVM, the kernel needs two.
PATIENCE = 25
# Linux prints this when it has booted and finds no disk.
BOOTED = b"Kernel panic - not syncing: VFS"


def known(layout: Layout) -> bool | None:
    """The result since this machine booted, or None if it was not tested yet."""
    if not DEVICE.exists():
        return False
    saved = layout.settings.cache / "kvm"
    if saved.exists():
        boot, _, result = saved.read_text().partition(" ")
        if boot == BOOT_ID.read_text().strip():
            return result == "works"
    return None


def probe(guest: Guest, layout: Layout) -> bool:
    """Boot the guest's kernel with KVM, and save the result."""
    result = _boots(guest)
    (layout.settings.cache / "kvm").write_text(
        f"{BOOT_ID.read_text().strip()} {'works' if result else 'hangs'}"
    )
    return result


def _boots(guest: Guest) -> bool:
    command = [
        "qemu-system-x86_64",
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-m",
        "256",
        "-nographic",
        "-nodefaults",
        "-serial",
        "stdio",
        "-no-reboot",
        "-kernel",
        str(guest.kernel),
        "-append",
        "console=ttyS0 panic=-1",
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return BOOTED in done.stdout
