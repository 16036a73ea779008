"""Opening the store's database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from production_server.errors import StoreError
from production_server.jobs import migrations
from production_server.jobs.tables import OLDEST, SCHEMA, metadata, revisions, versions

log = logging.getLogger(__name__)

LOG_BYTES = 8 << 20
BUSY_SECONDS = 30  # transactions are short, so a longer wait means that the disk hangs
RETRY_SECONDS = 0.02


def open_engine(url: str) -> Engine:
    """Open a database; create its tables, or bring them to this release's schema."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, OSError, ModuleNotFoundError) as error:
        raise StoreError(
            f"cannot open the jobs database: {error}",
            "Set STACKSERVE_STORE_URL to sqlite:////PATH/jobs.sqlite3 or "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME (needs: uv pip install psycopg[binary]).",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.connect() as connection, connection.begin():
            found = schema_of(connection)
        if found != SCHEMA:
            with engine.connect().execution_options(writes=True) as connection, connection.begin():
                _adapt(connection)
    except SQLAlchemyError as error:
        raise StoreError(
            f"cannot open the jobs database {parsed.render_as_string()}: {error}",
            "Check that the database exists and that this user can write to it.",
        ) from error
    return engine


def schema_of(connection: Connection) -> int | None:
    """The schema of a database; None if it is new."""
    if not inspect(connection).has_table(versions.name):
        return None
    return connection.execute(select(versions.c.version)).scalar()


def _adapt(connection: Connection) -> None:
    """Create the tables or change them, alone and in one transaction."""
    if connection.dialect.name == "postgresql":
        # Web tier and recorder start together. SQLite's transaction locks them out by itself.
        connection.execute(text("SELECT pg_advisory_xact_lock(5100)"))
    # Another process may have been faster, so look again.
    found = schema_of(connection)
    if found is None:
        _create(connection)
    elif found < SCHEMA:
        migrations.upgrade(connection)
        connection.execute(versions.update().values(version=SCHEMA, oldest=OLDEST))
        log.info("changed the jobs database from schema %d to %d", found, SCHEMA)
    elif found > SCHEMA and _oldest_of(connection) > SCHEMA:
        raise StoreError(
            f"the jobs database belongs to a newer release (schema {found}, and this release "
            f"knows schemas up to {SCHEMA})",
            "Run the newer release, or set STACKSERVE_STORE_URL to another database. To go back "
            "for good, restore a backup that this release made.",
        )


def _oldest_of(connection: Connection) -> int:
    """The schema of the oldest code that can use the tables of newer code."""
    oldest: int | None = connection.execute(select(versions.c.oldest)).scalar()
    return SCHEMA + 1 if oldest is None else oldest


def _create(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table))
        for index in table.indexes:
            connection.execute(CreateIndex(index))
    connection.execute(revisions.insert().values(version_num=str(SCHEMA)))
    connection.execute(versions.insert().values(version=SCHEMA, oldest=OLDEST))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions instead
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    # Takes effect only before the file's first page is written; see shrinking.py.
    cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    _use_wal(cursor)
    # A large deletion would leave a log of its size.
    cursor.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
    # Accepted jobs must survive even a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Let readers and a writer work at the same time. Only the first connection has to change it.

    If several processes do so at once, SQLite refuses some of them, and does not wait as it does
    for a transaction.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once instead of waiting.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
