"""The bytes of each job, for a limit on all of them, and the counts of deleted jobs."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, String, text

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.add_column("jobs", Column("bytes", BigInteger(), nullable=False, server_default=text("0")))
    op.execute(
        "UPDATE jobs SET bytes = 1024 + (SELECT coalesce(sum("
        "coalesce(length(rows), 0) + coalesce(length(outputs), 0)), 0) "
        "FROM chunks WHERE chunks.job = jobs.id)"
    )
    op.create_index("jobs_by_end", "jobs", ["state", "finished", "bytes"])
    op.create_table(
        "pruned",
        Column("reason", String(12), primary_key=True),
        Column("jobs", BigInteger(), nullable=False),
        Column("bytes", BigInteger(), nullable=False),
    )
