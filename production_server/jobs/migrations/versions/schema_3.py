"""The host that returned each chunk's outcome."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.add_column("chunks", Column("worker", String(64)))
