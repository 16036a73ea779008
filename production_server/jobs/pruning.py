"""Which jobs the store deletes by itself, and whether a new one fits in its budget of bytes.

A job counts with its rows until it ends, then with its results, and with JOB_BYTES for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select

from production_server.errors import StoreFull
from production_server.jobs.records import ACTIVE, FINISHED
from production_server.jobs.space import MEGABYTE
from production_server.jobs.tables import jobs, pruned

# What a job takes in the tables besides its rows or results: about 700 bytes, measured.
JOB_BYTES = 1024
# A result that is younger or was read since then is not deleted.
KEEP_SECONDS = 600.0
ABANDONED = 900.0  # seconds without a new chunk until an upload counts as abandoned
# The most that one transaction deletes, so that no other writer waits long.
BATCH_BYTES = 16 * MEGABYTE
BATCH_JOBS = 100

REASONS = ("age", "space", "abandoned")

SUM = func.coalesce(func.sum(jobs.c.bytes), 0)
# Every chunk of an upload asks for this, so it is built only once.
KEPT_BYTES = select(
    select(SUM).where(jobs.c.state.in_(("receiving", *ACTIVE))).scalar_subquery()
    + select(SUM)
    .where(jobs.c.state.in_(FINISHED), jobs.c.finished >= bindparam("since"))
    .scalar_subquery()
)


@dataclass(frozen=True)
class Batch:
    """Jobs to delete, and the condition that they still have to meet then."""

    reason: str
    condition: ColumnElement[bool]
    jobs: list[str]
    bytes: int


def batches(
    connection: Connection, now: float, retention: float, budget: int | None
) -> Iterator[Batch]:
    """At most one batch for each reason, the oldest jobs first."""
    unread = and_(
        jobs.c.state.in_(FINISHED),
        jobs.c.finished < now - KEEP_SECONDS,
        jobs.c.touched < now - KEEP_SECONDS,
    )
    abandoned = and_(jobs.c.state == "receiving", jobs.c.touched < now - ABANDONED)
    yield _batch(connection, "abandoned", abandoned, BATCH_BYTES)
    old = and_(unread, jobs.c.finished < now - retention)
    yield _batch(connection, "age", old, BATCH_BYTES)
    if budget is not None and (excess := total_bytes(connection) - budget) > 0:
        yield _batch(connection, "space", unread, min(excess, BATCH_BYTES))


def total_bytes(connection: Connection) -> int:
    """The bytes of all jobs."""
    # PostgreSQL sums to a decimal.
    return int(connection.execute(select(SUM)).scalar_one())


def check_budget(connection: Connection, budget: int | None, more: int, now: float) -> None:
    """Raise StoreFull if `more` bytes do not fit beside the jobs that cannot be deleted now."""
    if budget is None:
        return
    kept = int(connection.execute(KEPT_BYTES, {"since": now - KEEP_SECONDS}).scalar_one())
    if kept + more > budget:
        raise StoreFull(
            "store_full",
            f"unfinished jobs and new results take {kept / MEGABYTE:.1f} MB of the "
            f"{budget / MEGABYTE:.1f} MB for jobs, and this upload takes more than the rest",
            "Delete finished jobs that you no longer need, or split the file, or try again in "
            f"{KEEP_SECONDS / 60:g} minutes: older results make room. The operator can raise "
            "STACKSERVE_STORE_BYTES.",
        )


def count(connection: Connection, reason: str, number: int, size: int) -> None:
    """Add deleted jobs to the counts in the database."""
    more = {pruned.c.jobs: pruned.c.jobs + number, pruned.c.bytes: pruned.c.bytes + size}
    known = connection.execute(pruned.update().where(pruned.c.reason == reason).values(more))
    if not known.rowcount:
        connection.execute(pruned.insert().values(reason=reason, jobs=number, bytes=size))


def _batch(connection: Connection, reason: str, condition: ColumnElement[bool], most: int) -> Batch:
    """The oldest jobs with this condition, until they have `most` bytes."""
    query = select(jobs.c.id, jobs.c.bytes).where(condition).order_by(jobs.c.finished, jobs.c.id)
    found: list[str] = []
    size = 0
    for row in connection.execute(query.limit(BATCH_JOBS)):
        if size >= most:
            break
        found.append(row.id)
        size += row.bytes
    return Batch(reason, condition, found, size)
