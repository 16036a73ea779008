"""The ID of the request that created each job. Of older jobs, that is not known."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

revision = "5"
down_revision = "4"


def upgrade() -> None:
    op.add_column("jobs", Column("request_id", String(64)))
