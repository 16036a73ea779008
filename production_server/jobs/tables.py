"""The store's tables, and opening its database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    select,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from production_server.errors import StoreError

SCHEMA = 1
BUSY_SECONDS = 30  # transactions are short, so a longer wait means that the disk hangs

metadata = MetaData()

versions = Table("stackserve_schema", metadata, Column("version", Integer, primary_key=True))

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("state", String(12), nullable=False),
    Column("version", String(80), nullable=False),
    Column("answer", JSON, nullable=False),  # the card's description of outputs; kept with the job
    Column("idempotency_key", String(255), unique=True),
    Column("body_hash", String(64)),
    Column("body_bytes", Integer, nullable=False, default=0),
    Column("rows", Integer, nullable=False, default=0),
    Column("rows_done", Integer, nullable=False, default=0),
    Column("rows_failed", Integer, nullable=False, default=0),
    Column("chunks", Integer, nullable=False, default=0),
    Column("chunks_done", Integer, nullable=False, default=0),
    Column("chunks_failed", Integer, nullable=False, default=0),
    Column("warnings", JSON, nullable=False, default=list),
    Column("ignored", JSON, nullable=False, default=list),
    Column("created", Float, nullable=False),
    Column("touched", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
)
Index("jobs_by_state", jobs.c.state, jobs.c.created)
Index("jobs_by_age", jobs.c.created, jobs.c.id)

chunks = Table(
    "chunks",
    metadata,
    Column("job", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String(8), nullable=False),
    Column("count", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),  # counted only without a broker
    Column("rows", LargeBinary),  # float32, row-major; cleared when the chunk is recorded
    Column("outputs", LargeBinary),
    Column("reason", Text),
)
Index("chunks_by_state", chunks.c.job, chunks.c.state, chunks.c.number)


def open_engine(url: str) -> Engine:
    """Open a database; create its tables, or check that they have this release's schema."""
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
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            _create(connection)
    except SQLAlchemyError as error:
        raise StoreError(
            f"cannot open the jobs database {parsed.render_as_string()}: {error}",
            "Check that the database exists and that this user can write to it.",
        ) from error
    return engine


def _create(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Web tier and recorder start together, and concurrent CREATE IF NOT EXISTS can fail.
        connection.execute(text("SELECT pg_advisory_xact_lock(5100)"))
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))
    found = connection.execute(select(versions.c.version)).scalar()
    if found is None:
        connection.execute(versions.insert().values(version=SCHEMA))
    elif found != SCHEMA:
        raise StoreError(
            f"the jobs database belongs to another release (schema {found}, not {SCHEMA})",
            "Finish its jobs with that release, or set STACKSERVE_STORE_URL to a new database.",
        )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions instead
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # Accepted jobs must survive even a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can fail at once instead of waiting.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
