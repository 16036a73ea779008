"""Run by Alembic: applies revisions on the connection that `upgrade` got."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
