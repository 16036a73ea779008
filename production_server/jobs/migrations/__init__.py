"""The changes of the tables from release to release, as Alembic revisions.

`tables.py` has the tables as they are now, and a new database gets them at once. An older one gets
the revisions in `versions/` that it lacks.
"""

from __future__ import annotations

from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Apply the missing revisions in the transaction that is open: all of them or none."""
    # Only an older database needs Alembic, and importing it takes longer than opening the store.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "production_server.jobs:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
