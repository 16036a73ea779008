"""A server that is reset in the middle of its installation, or seconds after it, in real guests.

A reset kills QEMU: whatever the guest has not written to its disk is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.contextualized import (
    PATIENCE,
    UNITS,
    ask,
    boot_id,
    delivered,
    is_ready,
    lab_image,
    render,
)
from tests.support.guest import Guest
from tests.support.rows import PATIENT

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

# When it is reset: the stage that has begun by then, and what succeeds in the guest.
MOMENTS = {
    "installs Python packages": (
        "dependencies",
        "ls -d /opt/stackserve/venv/lib/*/site-packages/jax*",
    ),
    "unpacks packages": (
        "packages",
        "test $(grep -c ^Unpacking /var/log/stackserve/packages.log) -ge 8",
    ),
    "is almost ready": ("ready", "true"),
}
PACKAGES = (
    "dpkg-query -W -f '${db:Status-Abbrev}${Package}\\n' 'erlang*' rabbitmq-server"
    " | sed -n 's/^ii //p'"
)
AFTER_READY = 3  # seconds


def test_each_boot_continues_the_installation_until_it_is_complete(
    needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    user_data = render()
    guest = Guest(tmp_path / "guest", lab_image(needs), user_data.data)
    # It gets the code once.
    with delivered(guest, user_data):
        for stage, there in MOMENTS.values():
            guest.wait_for(stage, "begin", PATIENCE)
            wait_until(lambda there=there: succeeds(guest, there))
            assert ("ready", "done") not in seen(guest)
            guest.reset()
        guest.wait_for("ready", "done", PATIENCE)
        assert 0 < ask(guest, "/predict", PATIENT)["predictions"][0]["probability"] < 1

        time.sleep(AFTER_READY)
        before = boot_id(guest)
        guest.reset()
        wait_until(lambda: boot_id(guest) not in ("", before) and is_ready(guest))
        assert 0 < ask(guest, "/predict", PATIENT)["predictions"][0]["probability"] < 1
        # Nothing was installed again.
        assert seen(guest) == []
        check_the_disk(guest)


def check_the_disk(guest: Guest) -> None:
    """Nothing is missing, damaged or half installed."""
    assert guest.ssh("sudo dpkg --audit") == ""
    assert guest.ssh(f"sudo dpkg --verify $({PACKAGES})") == ""
    empty = "find /opt/stackserve/venv -name '*.so*' -size 0"
    assert guest.ssh(f"sudo {empty}; sudo find /opt/stackserve -name '*.new'") == ""
    for state in ("active", "enabled"):
        assert guest.ssh(f"systemctl is-{state} {' '.join(UNITS)}").split() == [state] * len(UNITS)
    # The certificates were still being installed at the last reset.
    wait_until(lambda: guest.ssh("ls /etc/stackserve/begun", check=False) == "")
    assert guest.ssh("cloud-init status --wait || true").split()[-1] == "done"
    assert "escape sequence" not in guest.ssh("sudo journalctl --no-pager _PID=1")


def succeeds(guest: Guest, command: str) -> bool:
    return "yes" in guest.ssh(f"sudo sh -c '{command}' && echo yes", check=False)


def seen(guest: Guest) -> list[tuple[str, str]]:
    return [(marker.stage, marker.state) for marker in guest.markers()]


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(1)
