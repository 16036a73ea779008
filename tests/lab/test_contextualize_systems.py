"""The same user data on the other supported systems, in real guests.

The other tests boot Debian 12. Here, QEMU boots disks with Debian 13 and Ubuntu.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.contextualized import PATIENCE, UNITS, ask, delivered, reboot, render
from tests.support import packaged_unit, systems
from tests.support.guest import Guest, missing_programs
from tests.support.rows import PATIENT

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

BUILDERS = ("mmdebstrap", "sfdisk", "mkfs.ext4")


@pytest.mark.parametrize("codename", systems.RECIPES)
def test_a_server_predicts_before_and_after_a_reboot(
    codename: str, needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    absent = missing_programs() + [name for name in BUILDERS if not shutil.which(name)]
    needs(not absent, f"missing: {', '.join(absent)}; ./scripts/lab up installs them")
    disk = systems.disk(codename, tmp_path / "disk")
    user_data = render()
    # Debian 13's RabbitMQ does not depend on logrotate.
    units = UNITS if codename == "trixie" else [*UNITS, "logrotate.timer"]
    guest = Guest(tmp_path / "guest", disk, user_data.data, user=systems.user(codename))
    with delivered(guest, user_data):
        guest.wait_for("ready", "done", PATIENCE)
        assert f"VERSION_CODENAME={codename}" in guest.ssh("cat /etc/os-release")
        assert ask(guest, "/alive")["code_hash"] == user_data.code_hash
        unit = guest.ssh(f"cat {packaged_unit.PATH}")
        assert packaged_unit.replaced(unit) == packaged_unit.REPLACED
        check(guest, units)
        reboot(guest)
        check(guest, units)
        # Nothing was installed again.
        assert [marker.stage for marker in guest.markers()].count("packages") == 2


def check(guest: Guest, units: list[str]) -> None:
    """The server predicts, and its units run and are enabled."""
    assert 0 < ask(guest, "/predict", PATIENT)["predictions"][0]["probability"] < 1
    for state in ("active", "enabled"):
        assert guest.ssh(f"systemctl is-{state} {' '.join(units)}").split() == [state] * len(units)
