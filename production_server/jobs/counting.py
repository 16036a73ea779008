"""What was counted of each version of a model, in the jobs' database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from production_server.jobs.tables import version_counts

# The number under which outcomes are counted: they may come long after a trial.
OUTCOMES = 0
# Counts of trials that started longer before the present one are deleted.
KEEP_MILLISECONDS = 90 * 86_400_000


def add(connection: Connection, trial: int, version: str, amounts: Mapping[str, float]) -> None:
    """Add amounts to those that are there. Several processes may do this at once."""
    if not amounts:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    query = insert(version_counts)
    query = query.on_conflict_do_update(
        index_elements=["trial", "version", "name"],
        set_={"amount": version_counts.c.amount + query.excluded.amount},
    )
    # In this order in every process, so that two of them cannot deadlock.
    rows = [
        {"trial": trial, "version": version, "name": name, "amount": float(amounts[name])}
        for name in sorted(amounts)
    ]
    connection.execute(query, rows)
    if trial != OUTCOMES:
        old = version_counts.c.trial < trial - KEEP_MILLISECONDS
        connection.execute(version_counts.delete().where(version_counts.c.trial != OUTCOMES, old))


def read(connection: Connection, trial: int) -> dict[str, dict[str, float]]:
    """The amounts by version and name."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    query = select(version_counts).where(version_counts.c.trial == trial)
    for row in connection.execute(query):
        found[row.version][row.name] = row.amount
    return dict(found)
