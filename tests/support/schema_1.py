"""A database as the last release without migrations made it, with a job in every state."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DUMP = Path(__file__).resolve().parents[1] / "data" / "jobs_schema_1.sql"


def create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text(encoding="utf-8"))


def contents(path: Path) -> dict[str, list[dict[str, object]]]:
    """The rows of the jobs and of their chunks."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]
            for table in ("jobs", "chunks")
        }
