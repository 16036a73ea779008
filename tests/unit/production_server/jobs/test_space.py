"""When the disk counts as full."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from production_server.errors import StoreFull
from production_server.jobs.engine import open_engine
from production_server.jobs.space import MEGABYTE, check_space, is_full, reserve


def test_a_small_part_of_every_disk_is_kept_free() -> None:
    sizes = [size * 1024 * MEGABYTE for size in (0.0625, 10, 1000)]
    kept = [reserve(int(size)) // MEGABYTE for size in sizes]
    assert kept == [16, 204, 1024]


def test_little_free_space_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'jobs.sqlite3'}")
    blocks = 64 * MEGABYTE // 4096
    for free, full in ((blocks // 2, False), (blocks // 8, True), (0, True)):
        disk = SimpleNamespace(f_bavail=free, f_frsize=4096, f_blocks=blocks)
        monkeypatch.setattr(os, "statvfs", lambda _path, disk=disk: disk)
        if full:
            with pytest.raises(StoreFull, match="16 MB are kept"):
                check_space(engine)
        else:
            check_space(engine)
    engine.dispose()


def test_a_full_disk_is_recognized() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    locked = sqlite3.OperationalError("database is locked")
    assert is_full(OperationalError("INSERT", {}, full))
    assert not is_full(OperationalError("INSERT", {}, locked))
