"""Host keys from the console are saved and found."""

from __future__ import annotations

import stat
from pathlib import Path

from openstack_client.watch.boot import knows_host, remember_host_keys


def test_host_keys_are_saved(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts" / "web"
    assert not remember_host_keys(file, "1.2.3.4", "nothing")
    assert not file.exists()
    assert remember_host_keys(file, "1.2.3.4", "STACKSERVE-HOSTKEY ssh-ed25519 AAAA\n")
    assert file.read_text() == "1.2.3.4 ssh-ed25519 AAAA\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert remember_host_keys(file, "1.2.3.4", "STACKSERVE-HOSTKEY ssh-ed25519 BBBB\n")
    assert "AAAA" not in file.read_text()
    assert knows_host(file, "1.2.3.4")


def test_a_prefix_of_a_known_address_is_not_known(tmp_path: Path) -> None:
    file = tmp_path / "web"
    assert not knows_host(file, "172.24.4.1")
    file.write_text("172.24.4.12 ssh-ed25519 AAAA\n")
    assert knows_host(file, "172.24.4.12") and not knows_host(file, "172.24.4.1")
