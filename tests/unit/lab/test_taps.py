"""Which guests' wires are off."""

from __future__ import annotations

from pathlib import Path

from openstack_lab.taps import switched_off


def link(links: Path, name: str, flags: str) -> None:
    (links / name).mkdir()
    (links / name / "flags").write_text(flags + "\n")


def test_only_taps_that_are_off_are_found(tmp_path: Path) -> None:
    link(tmp_path, "tap-off", "0x1102")
    link(tmp_path, "tap-on", "0x1103")
    link(tmp_path, "br-int", "0x1102")
    (tmp_path / "tap-gone").mkdir()
    assert switched_off(tmp_path) == ["tap-off"]
