"""What is counted of each version of a model."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, String

revision = "6"
down_revision = "5"


def upgrade() -> None:
    op.create_table(
        "version_counts",
        Column("trial", BigInteger, primary_key=True, autoincrement=False),
        Column("version", String(80), primary_key=True),
        Column("name", String(40), primary_key=True),
        Column("amount", Float, nullable=False),
    )
