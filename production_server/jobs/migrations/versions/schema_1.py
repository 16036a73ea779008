"""The tables that releases before Alembic created."""

from __future__ import annotations

revision = "1"
down_revision = None


def upgrade() -> None:
    """Nothing: a database without a revision has these tables."""
