"""The store: the database of jobs. Every method is one transaction.

States of a job: receiving (the body is still arriving, and the job is hidden) -> queued -> running
-> done, failed (some chunks failed; the result has the rest and the reasons) or cancelled.

States of a chunk: pending -> done or failed. Only the dispatcher knows which chunks are in flight.
After a crash, it sends all pending chunks again, and the store counts each outcome once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select
from sqlalchemy.exc import IntegrityError

from production_server.jobs.reader import Reader, pending_of
from production_server.jobs.records import (
    ACTIVE,
    FINISHED,
    Job,
    Outcome,
    Receipt,
    queue_full,
    same_body,
)
from production_server.jobs.tables import chunks, jobs


class Store(Reader):
    """The jobs of one service."""

    # Receiving

    def begin(self, version: str, answer: dict[str, Any]) -> str:
        """Create a job to stage chunks in. It is hidden until it is accepted."""
        job = secrets.token_hex(8)
        now = time.time()
        with self._write() as connection:
            connection.execute(
                jobs.insert().values(
                    id=job,
                    state="receiving",
                    version=version,
                    answer=answer,
                    created=now,
                    touched=now,
                )
            )
        return job

    def stage(self, job: str, number: int, count: int, rows: bytes) -> None:
        with self._write() as connection:
            connection.execute(
                chunks.insert().values(
                    job=job, number=number, state="pending", count=count, rows=rows
                )
            )
            connection.execute(jobs.update().where(jobs.c.id == job).values(touched=time.time()))

    def discard(self, job: str) -> None:
        """Delete a job that was not accepted."""
        with self._write() as connection:
            connection.execute(jobs.delete().where(jobs.c.id == job, jobs.c.state == "receiving"))

    def accept(self, job: str, receipt: Receipt, most: int) -> Job:
        """Accept a staged job, or return the job that already has its Idempotency-Key."""
        try:
            with self._write() as connection:
                # Uploads that are still arriving do not count: the first to finish gets the place.
                if (count := self._count_active(connection)) >= most:
                    raise queue_full(count)
                connection.execute(
                    jobs.update()
                    .where(jobs.c.id == job)
                    .values(state="queued", created=time.time(), **vars(receipt))
                )
                return _one(connection, job)
        except IntegrityError:
            self.discard(job)
            winner = self.with_key(receipt.idempotency_key)
            if winner is None:
                raise
            return same_body(winner, receipt.body_hash)

    # Working

    def attempt(self, job: str, numbers: Sequence[int], change: int = 1) -> None:
        """Count an attempt for these chunks; with `change` -1, take it back."""
        query = (
            chunks.update()
            .where(pending_of(job), chunks.c.number.in_(numbers))
            .values(attempts=chunks.c.attempts + change)
        )
        with self._write() as connection:
            connection.execute(query)

    def start(self, job: str, when: float) -> None:
        """Mark a job as running."""
        with self._write() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.id == job, jobs.c.state == "queued")
                .values(state="running", started=when)
            )

    def record(self, job: str, number: int, outcome: Outcome) -> bool:
        """Record a chunk's outcome; False if it was recorded before or its job has ended."""
        good = outcome.error is None
        now = time.time()
        with self._write() as connection:
            # Always lock the job's row first, so that two transactions cannot deadlock.
            active = connection.execute(
                jobs.update()
                .where(jobs.c.id == job, jobs.c.state.in_(ACTIVE))
                # A small job can finish before the dispatcher has marked it as running.
                .values(touched=now, started=func.coalesce(jobs.c.started, jobs.c.created))
            )
            if not active.rowcount:
                return False
            changed = connection.execute(
                chunks.update()
                .where(pending_of(job), chunks.c.number == number)
                .values(
                    state="done" if good else "failed",
                    outputs=outcome.outputs,
                    reason=outcome.error,
                    rows=None,
                )
            )
            if not changed.rowcount:
                return False
            count = (
                select(chunks.c.count)
                .where(chunks.c.job == job, chunks.c.number == number)
                .scalar_subquery()
            )
            rows, parts = (
                (jobs.c.rows_done, jobs.c.chunks_done)
                if good
                else (jobs.c.rows_failed, jobs.c.chunks_failed)
            )
            connection.execute(
                jobs.update().where(jobs.c.id == job).values({rows: rows + count, parts: parts + 1})
            )
            found = _one(connection, job)
            if found.chunks_done + found.chunks_failed == found.chunks:
                state = "failed" if found.chunks_failed else "done"
                connection.execute(
                    jobs.update().where(jobs.c.id == job).values(state=state, finished=now)
                )
            return True

    # Ending

    def cancel(self, job: str) -> bool:
        """Cancel an unfinished job and delete its rows; False if it has ended."""
        with self._write() as connection:
            stopped = connection.execute(
                jobs.update()
                .where(jobs.c.id == job, jobs.c.state.in_(ACTIVE))
                .values(state="cancelled", finished=time.time())
            )
            if stopped.rowcount:
                connection.execute(chunks.delete().where(chunks.c.job == job))
            return bool(stopped.rowcount)

    def remove(self, job: str) -> bool:
        """Delete a finished job and its result."""
        query = jobs.delete().where(jobs.c.id == job, jobs.c.state.in_(FINISHED))
        with self._write() as connection:
            return bool(connection.execute(query).rowcount)

    def prune(self, finished_before: float, abandoned_before: float) -> int:
        """Delete old finished jobs, and uploads whose web process died."""
        old = and_(jobs.c.state.in_(FINISHED), jobs.c.finished < finished_before)
        abandoned = and_(jobs.c.state == "receiving", jobs.c.touched < abandoned_before)
        with self._write() as connection:
            return connection.execute(jobs.delete().where(or_(old, abandoned))).rowcount

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection


def _one(connection: Connection, job: str) -> Job:
    return Job(**connection.execute(select(jobs).where(jobs.c.id == job)).mappings().one())
