"""Who created each job. Of older jobs, that is not known."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

revision = "4"
down_revision = "3"


def upgrade() -> None:
    op.add_column("jobs", Column("owner", String(80)))
    op.create_index("jobs_by_owner", "jobs", ["owner", "created", "id"])
