"""The jobs' SQLite file: copy it while it is in use, check a copy, and replace its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from production_server.backup.archive import Manifest, Report, damaged
from production_server.errors import BackupError, StoreError
from production_server.jobs.engine import open_engine
from production_server.jobs.tables import SCHEMA, metadata
from production_server.settings import Settings

PAGES = 1024
LOCK_SECONDS = 5.0
TABLES = {table.name: [column.name for column in table.columns] for table in metadata.sorted_tables}


def file_of(settings: Settings) -> Path:
    """The file with the jobs; it is created if it is missing."""
    url = make_url(settings.store)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        raise BackupError(
            f"the jobs are in {url.render_as_string()}, and only SQLite files can be saved",
            "Use the tools of that database, such as pg_dump and pg_restore.",
        )
    open_engine(settings.store).dispose()
    return Path(str(url.database)).absolute()


def copy(source: Path, target: Path, report: Report) -> None:
    """Copy the state of one moment. The service can read and write meanwhile."""
    with closing(_connect(source)) as live, closing(_connect(target)) as saved:
        # An open transaction keeps the state: SQLite need not start again when others write.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM jobs").fetchone()
        size = live.execute("PRAGMA page_size").fetchone()[0]
        live.backup(
            saved,
            pages=PAGES,
            progress=lambda _, left, total: report((total - left) * size, total * size),
        )
        live.execute("ROLLBACK")
        saved.execute("PRAGMA journal_mode=DELETE")


def counts(path: Path) -> dict[str, int]:
    """The number of rows of each table."""
    with closing(_connect(path)) as connection:
        return _counts(connection, "main")


def check(path: Path, manifest: Manifest) -> None:
    """Raise BackupError if an unpacked database is not what its manifest says."""
    if manifest.schema_version > SCHEMA:
        raise BackupError(
            f"the archive has the tables of a newer version (schema {manifest.schema_version}, "
            f"and this version has {SCHEMA})",
            f"Nothing was changed. Restore it with Stackserve {manifest.stackserve}.",
        )
    # An older version had fewer tables, but always these two.
    if not {"jobs", "chunks"} <= manifest.rows.keys() <= TABLES.keys():
        raise damaged(f"its manifest has the tables {', '.join(manifest.rows)}")
    try:
        with closing(_connect(path)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise damaged(f"{path.name}: {found}")
            rows = _counts(connection, "main", manifest.rows)
    except sqlite3.DatabaseError as error:
        raise damaged(f"{path.name}: {error}") from error
    if rows != manifest.rows:
        raise damaged(f"{path.name} has the rows {rows}, not {manifest.rows}")


def upgrade(path: Path) -> None:
    """Bring an unpacked database to this version's tables."""
    try:
        open_engine(f"sqlite:///{path}").dispose()
    except StoreError as error:
        raise damaged(str(error)) from error
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def jobs_missing_in(path: Path, other: Path) -> int:
    """The number of jobs in the first file that the second does not have."""
    with closing(_connect(path)) as connection:
        connection.execute("ATTACH ? AS other", (str(other),))
        query = "SELECT count(*) FROM main.jobs WHERE id NOT IN (SELECT id FROM other.jobs)"
        return int(connection.execute(query).fetchone()[0])


def marker(path: Path) -> int:
    """The number that the last restore left in the file; 0 if there was none."""
    if not path.exists():
        return 0
    with closing(_connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refuse_if_open(path: Path) -> None:
    """Raise BackupError if a service has the file open."""
    _exclusive(path).close()


@contextmanager
def replacement(path: Path, new: Path, number: int) -> Iterator[Callable[[], None]]:
    """Prepare to replace all rows by those of `new`, and leave the marker `number`.

    The block gets a function that commits; without that call, everything stays as it was.
    """
    with closing(_exclusive(path)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("ATTACH ? AS new", (str(new),))
        connection.execute("BEGIN EXCLUSIVE")
        for table in reversed(TABLES):
            connection.execute(f'DELETE FROM main."{table}"')
        for table, columns in TABLES.items():
            named = ", ".join(f'"{column}"' for column in columns)
            connection.execute(
                f'INSERT INTO main."{table}" ({named}) SELECT {named} FROM new."{table}"'
            )
        if _counts(connection, "main") != _counts(connection, "new"):
            raise damaged("not every row could be copied")
        connection.execute(f"PRAGMA main.user_version={number}")

        def commit() -> None:
            connection.execute("COMMIT")

        yield commit


def _exclusive(path: Path) -> sqlite3.Connection:
    """A connection to a file that nobody else has open."""
    connection = _connect(path, LOCK_SECONDS)
    try:
        # SQLite leaves WAL only if no other process has the file open, idle or not.
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        connection.close()
        raise BackupError(
            f"the service is running: it has {path} open",
            "Nothing was changed. Stop the service, then restore again.",
        ) from error
    return connection


def _counts(
    connection: sqlite3.Connection, schema: str, tables: Iterable[str] = TABLES
) -> dict[str, int]:
    return {
        table: int(connection.execute(f'SELECT count(*) FROM {schema}."{table}"').fetchone()[0])
        for table in tables
    }


def _connect(path: Path, timeout: float = 30.0) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout, isolation_level=None)
