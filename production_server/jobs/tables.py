"""The store's tables, as a new database gets them.

A change of them takes a revision in `migrations/versions/` and the next number in SCHEMA.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

SCHEMA = 6
# The code of this schema can use the tables of SCHEMA too: it finds everything that it knows. So a
# server can go back to it. A change that only adds something leaves this as it is.
OLDEST = 6

metadata = MetaData()

# Every release reads this first, and refuses tables that only newer code can use.
versions = Table(
    "stackserve_schema",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("oldest", Integer),
)

# Alembic's own record, as Alembic creates it. Only a new database gets it from here.
revisions = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

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
    # An estimate: see pruning.py.
    Column("bytes", BigInteger, nullable=False, server_default=text("0")),
    Column("owner", String(80)),  # who created it; see access/policy.py
    Column("request_id", String(64)),  # of the request that created it
)
Index("jobs_by_state", jobs.c.state, jobs.c.created)
Index("jobs_by_age", jobs.c.created, jobs.c.id)
Index("jobs_by_owner", jobs.c.owner, jobs.c.created, jobs.c.id)
Index("jobs_by_end", jobs.c.state, jobs.c.finished, jobs.c.bytes)

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
    Column("worker", String(64)),  # the host that returned the outcome
)
Index("chunks_by_state", chunks.c.job, chunks.c.state, chunks.c.number)

# How many jobs the recorder has deleted for each reason, and their bytes.
pruned = Table(
    "pruned",
    metadata,
    Column("reason", String(12), primary_key=True),
    Column("jobs", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

# What was counted of each version: during a trial, or, with the number 0, of outcomes at any time.
# Nothing here is about a person.
version_counts = Table(
    "version_counts",
    metadata,
    Column("trial", BigInteger, primary_key=True, autoincrement=False),
    Column("version", String(80), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("amount", Float, nullable=False),
)
