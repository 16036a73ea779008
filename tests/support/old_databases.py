"""Databases as older releases made them, with a job in every state.

Schema 1 is that of the last release without migrations.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"
SCHEMAS = (1, 2, 3, 4, 5)
# What later releases added to each table.
ADDED = {"jobs": ("bytes", "owner", "request_id"), "chunks": ("worker",)}


def create(path: Path, schema: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / f"jobs_schema_{schema}.sql").read_text(encoding="utf-8"))


def contents(path: Path) -> dict[str, list[dict[str, object]]]:
    """The rows of the jobs and of their chunks, without what later releases added."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: [
                {name: value for name, value in dict(row).items() if name not in added}
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            ]
            for table, added in ADDED.items()
        }
