"""Whether hardware virtualization truly works here: only a guest that boots can tell.

Some machines have a /dev/kvm in which ordinary guests hang.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from openstack_lab.guest.build import Guest
from openstack_lab.layout import Layout

DEVICE = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# A working KVM takes two seconds to get there.
PATIENCE = 25
# What Linux says when it has come up and finds no disk.
SIGN = b"Kernel panic - not syncing: VFS"


def known(layout: Layout) -> bool | None:
    """The answer of this boot of the machine; None when nobody has asked yet."""
    if not DEVICE.exists():
        return False
    kept = layout.settings.cache / "kvm"
    if kept.exists():
        boot, _, answer = kept.read_text().partition(" ")
        if boot == BOOT_ID.read_text().strip():
            return answer == "works"
    return None


def probe(guest: Guest, layout: Layout) -> bool:
    """Boot the guest's kernel on it, and remember what came of it."""
    answer = _boots(guest)
    (layout.settings.cache / "kvm").write_text(
        f"{BOOT_ID.read_text().strip()} {'works' if answer else 'hangs'}"
    )
    return answer


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
    return SIGN in done.stdout
