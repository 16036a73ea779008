"""What is counted of each version of a model, and which releases may use the database."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Float, Integer, String

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
    op.add_column("stackserve_schema", Column("oldest", Integer))
