"""The same user data on Ubuntu, in a real guest: QEMU with a disk built of Ubuntu's packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.contextualized import PATIENCE, ROW, UNITS, ask, delivered, reboot, render
from tests.support import ubuntu
from tests.support.guest import Guest, missing_programs

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

BUILDERS = ("mmdebstrap", "sfdisk", "mkfs.ext4")


@pytest.mark.parametrize("codename", ["noble", "jammy"])
def test_a_server_predicts_and_comes_back_after_a_reboot(
    codename: str, needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    absent = missing_programs() + [name for name in BUILDERS if not shutil.which(name)]
    needs(not absent, f"missing: {', '.join(absent)}; ./scripts/lab up installs them")
    disk = ubuntu.disk(codename, tmp_path / "disk")
    user_data = render()
    guest = Guest(tmp_path / "guest", disk, user_data.data, user="ubuntu")
    with delivered(guest, user_data):
        guest.wait_for("ready", "done", PATIENCE)
        assert f"VERSION_CODENAME={codename}" in guest.ssh("cat /etc/os-release")
        assert ask(guest, "/alive")["code_hash"] == user_data.code_hash
        check(guest)
        reboot(guest)
        check(guest)
        # Nothing was installed a second time.
        assert [marker.stage for marker in guest.markers()].count("packages") == 2


def check(guest: Guest) -> None:
    """A prediction comes back, all units do well, and so do the system's own."""
    assert 0 < ask(guest, "/predict", ROW)["predictions"][0]["probability"] < 1
    for state in ("active", "enabled"):
        told = guest.ssh(f"systemctl is-{state} {' '.join(UNITS)} logrotate.timer")
        assert told.split() == [state] * (len(UNITS) + 1)
