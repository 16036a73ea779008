"""The launcher finds the files it reads."""

from __future__ import annotations

from pathlib import Path

from openstack_client import places

ROOT = Path(__file__).resolve().parents[3]


def test_a_checkout() -> None:
    assert places.CHECKOUT == places.IMPORT_FOLDER == ROOT
    assert places.TEMPLATES == ROOT / "cloud-init"
    assert places.QUICK_START.is_file()
    assert places.COMMAND == "python3 -m openstack_client"
