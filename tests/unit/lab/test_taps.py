"""Which taps of guests are down."""

from __future__ import annotations

from pathlib import Path

from openstack_lab.taps import taps_down


def link(links: Path, name: str, flags: str) -> None:
    (links / name).mkdir()
    (links / name / "flags").write_text(flags + "\n")


def test_only_taps_that_are_down_are_found(tmp_path: Path) -> None:
    link(tmp_path, "tap-down", "0x1102")
    link(tmp_path, "tap-up", "0x1103")
    link(tmp_path, "br-int", "0x1102")
    (tmp_path / "tap-gone").mkdir()
    assert taps_down(tmp_path) == ["tap-down"]
