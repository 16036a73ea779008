"""A file that is deleted when the disk is full, so that jobs can still be deleted.

SQLite writes to its log before it frees anything, so it cannot delete on a full disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from production_server.jobs.space import MEGABYTE, disk_of

# Deleting a job writes about 0.3% of its size. This is enough for a job of a gigabyte.
BALLAST_BYTES = 8 * MEGABYTE


class Ballast:
    """The file beside a SQLite database. Without a database file, it does nothing."""

    def __init__(self, database: Path | None) -> None:
        self._path = database and database.with_name(f"{database.name}-ballast")

    def release(self) -> bool:
        """Delete the file; False if there was none."""
        try:
            if self._path is None:
                return False
            self._path.unlink()
        except OSError:
            return False
        return True

    @property
    def missing(self) -> int:
        """The bytes that were released and not restored."""
        if self._path is None:
            return 0
        return BALLAST_BYTES - (self._path.stat().st_size if self._path.exists() else 0)

    def restore(self) -> None:
        """Write what is missing, but never more than half of the free space."""
        if self._path is None or (missing := self.missing) == 0:
            return
        more = min(missing, disk_of(self._path.parent)[0] // 2) // MEGABYTE
        if more < 1:
            return
        with self._path.open("ab", buffering=0) as file:
            try:
                for _ in range(more):
                    # A file system that compresses would reserve nothing for zeros.
                    file.write(os.urandom(MEGABYTE))
            except OSError:
                file.truncate(BALLAST_BYTES - missing)
