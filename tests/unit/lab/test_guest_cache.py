"""Which images are removed from the cache."""

from __future__ import annotations

import os
from pathlib import Path

from openstack_lab.guest.build import outdated


def build(images: Path, name: str, age: int) -> Path:
    folder = images / name
    folder.mkdir(parents=True)
    disk = folder / "disk.qcow2"
    disk.touch()
    os.utime(disk, (1_000_000 - age, 1_000_000 - age))
    return folder


def test_the_two_newest_images_are_kept(tmp_path: Path) -> None:
    oldest = build(tmp_path, "a", age=300)
    build(tmp_path, "c", age=100)
    build(tmp_path, "b", age=200)
    (tmp_path / ".d.new").mkdir()
    assert outdated(tmp_path) == [oldest]


def test_an_empty_cache_has_no_outdated_images(tmp_path: Path) -> None:
    assert outdated(tmp_path) == []
