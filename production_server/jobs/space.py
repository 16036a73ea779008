"""Free space on the disk of the jobs' database."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from production_server.errors import StoreFull

MEGABYTE = 1 << 20
# PostgreSQL's code for a full disk.
DISK_FULL = "53100"


def reserve(total: int) -> int:
    """Bytes to keep free, for the results of accepted jobs: 2% of the disk, at most 1 GB."""
    return min(1024 * MEGABYTE, max(16 * MEGABYTE, total // 50))


def database_file(engine: Engine) -> Path | None:
    """The file of a SQLite database. No other database's disk is known."""
    file = engine.url.database
    if engine.dialect.name != "sqlite" or not file or file == ":memory:":
        return None
    return Path(file)


def budget_of(engine: Engine, setting: int | None) -> int | None:
    """The most bytes of jobs: the setting, or half of the disk if it is known."""
    file = database_file(engine)
    return disk_of(file.parent)[1] // 2 if setting is None and file else setting


def disk_of(folder: Path) -> tuple[int, int]:
    """The free bytes and all bytes of a folder's disk."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def check_space(engine: Engine) -> None:
    """Raise StoreFull if the database's disk has no room for a job."""
    file = database_file(engine)
    if file is None:
        return
    free, size = disk_of(file.parent)
    kept = reserve(size)
    if free < kept and free + reusable(engine) < kept:
        raise store_full(
            f"the server's disk has {free // MEGABYTE} MB left, and {kept // MEGABYTE} MB are "
            "kept for the results of accepted jobs"
        )


def reusable(engine: Engine) -> int:
    """Bytes of the SQLite file that deleted jobs have left for new ones."""
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    return int(pages) * int(size)


def store_full(detail: str) -> StoreFull:
    return StoreFull(
        "store_full",
        detail,
        "Delete finished jobs that you no longer need, which makes room for new ones, or ask the "
        "operator to free space on the server. Then try again.",
    )


def is_full(error: SQLAlchemyError) -> bool:
    """Whether the database reported a full disk."""
    if not isinstance(error, OperationalError):
        return False
    code = getattr(error.orig, "sqlstate", None)
    return code == DISK_FULL or "database or disk is full" in str(error.orig)
