"""Gives the space of deleted jobs back to the disk, in steps that hold up no writer.

SQLite keeps the pages of deleted rows for new ones, and its file never shrinks by itself.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from production_server.jobs.space import MEGABYTE, database_file, disk_of

log = logging.getLogger(__name__)

INCREMENTAL = 2
# A step moves at most this many pages of 4 KiB, and others can write during the pauses.
STEP_PAGES = 256
PAUSE = 0.05
# New jobs reuse free pages, which is faster than to shrink and grow again.
SLACK_BYTES = 32 * MEGABYTE
# Files of older releases have to be rewritten once, and until then nothing else can write.
LARGEST_REWRITE = 256 * MEGABYTE


def shrink(engine: Engine, stopping: threading.Event, wanted: int = 0) -> None:
    """Free all pages but some slack, and of that too what is wanted, in bytes."""
    file = database_file(engine)
    if file is None:
        return
    with _autocommit(engine) as cursor:
        if _pragma(cursor, "auto_vacuum") != INCREMENTAL:
            return
        size = _pragma(cursor, "page_size")
        before = free = _pragma(cursor, "freelist_count")
        # Unfinished jobs need the rest for their results if the disk is full.
        slack = max(0, min(SLACK_BYTES // size, free - wanted // size))
        while free > slack and not stopping.is_set():
            # `execute` would stop after the first page.
            cursor.executescript(f"PRAGMA incremental_vacuum({min(STEP_PAGES, free - slack)})")
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if (left := _pragma(cursor, "freelist_count")) >= free:
                break  # others delete as fast
            free = left
            stopping.wait(PAUSE)
    if free < before:
        log.info("freed %d pages of the jobs database", before - free)


def allow_shrinking(engine: Engine) -> None:
    """Rewrite a file of an older release, if that is quick and fits on the disk."""
    file = database_file(engine)
    if file is None:
        return
    with _autocommit(engine) as cursor:
        if _pragma(cursor, "auto_vacuum") == INCREMENTAL:
            return
        size = _pragma(cursor, "page_count") * _pragma(cursor, "page_size")
        # SQLite writes a copy, and then the log of the new file.
        if size > LARGEST_REWRITE or disk_of(file.parent)[0] < 3 * size:
            log.warning(
                "%s does not shrink when jobs are deleted. To change that, stop the service and "
                "run: sqlite3 %s 'PRAGMA auto_vacuum=2; VACUUM'",
                file,
                file,
            )
            return
        try:
            cursor.execute(f"PRAGMA auto_vacuum={INCREMENTAL}")
            cursor.execute("VACUUM")
            log.info("rewrote the jobs database, so that it shrinks when jobs are deleted")
        except sqlite3.OperationalError as error:
            log.warning("cannot rewrite the jobs database; the next start tries again: %s", error)


@contextmanager
def _autocommit(engine: Engine) -> Iterator[sqlite3.Cursor]:
    """A cursor outside of any transaction, which VACUUM needs."""
    connection = engine.raw_connection()
    try:
        cursor: Any = connection.cursor()
        yield cursor
        cursor.close()
    finally:
        connection.close()


def _pragma(cursor: sqlite3.Cursor, name: str) -> int:
    return int(cursor.execute(f"PRAGMA {name}").fetchone()[0])
