"""The contents of the guest image."""

from __future__ import annotations

from pathlib import PurePath

from openstack_lab.guest.recipe import FILES

# netplan writes it at the first boot of a server, so it is there from the second boot on.
NETPLAN = "10-netplan-eth0.link"


def test_checksums_stay_off_after_a_reboot() -> None:
    """udev applies only the first of all link files that match, by their names."""
    ours = [PurePath(name).name for name, text in FILES.items() if "ChecksumOffload=false" in text]
    assert len(ours) == 1
    assert ours[0] < NETPLAN
