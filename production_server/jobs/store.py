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

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import PoolProxiedConnection

from production_server.jobs.records import (
    ACTIVE,
    FINISHED,
    Job,
    Outcome,
    Part,
    Payload,
    Receipt,
    queue_full,
    same_body,
)
from production_server.jobs.tables import chunks, jobs, open_engine


class Store:
    """The jobs of one service."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._watch: PoolProxiedConnection | None = None
        self._mark: object = None

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self._engine.dispose()

    def changed(self) -> bool:
        """Whether anything was written since the last call. Always True if it cannot be known.

        It costs a hundredth of the smallest query, so it can be called often, but only by one
        thread.
        """
        if self._engine.dialect.name != "sqlite":
            return True
        if self._watch is None:
            self._watch = self._engine.raw_connection()
        cursor = self._watch.cursor()
        cursor.execute("PRAGMA data_version")
        before, self._mark = self._mark, cursor.fetchone()
        cursor.close()
        return before != self._mark

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

    def with_key(self, key: str | None) -> Job | None:
        """The accepted job with an Idempotency-Key."""
        return self._find(select(jobs).where(jobs.c.idempotency_key == key)) if key else None

    def check_room(self, most: int) -> None:
        """Raise QueueFull if a new job could not be accepted now."""
        with self._read() as connection:
            if (count := self._count_active(connection)) >= most:
                raise queue_full(count)

    # Reading

    def get(self, job: str) -> Job | None:
        return self._find(select(jobs).where(jobs.c.id == job, jobs.c.state != "receiving"))

    def page(self, limit: int, before: str | None = None) -> list[Job]:
        """Jobs, newest first. `before` is the id of the last job of the previous page."""
        query = select(jobs).where(jobs.c.state != "receiving")
        with self._read() as connection:
            if before:
                mark = select(jobs.c.created).where(jobs.c.id == before)
                if (created := connection.execute(mark).scalar()) is None:
                    return []
                older = and_(jobs.c.created == created, jobs.c.id < before)
                query = query.where(or_(jobs.c.created < created, older))
            query = query.order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
            return [Job(**row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[str, int]:
        """The number of jobs in each state."""
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self._read() as connection:
            return {row.state: row[1] for row in connection.execute(query)}

    def parts(self, job: str, after: int, limit: int) -> list[Part]:
        """Recorded chunks in order, starting with number `after`."""
        query = (
            select(chunks.c.number, chunks.c.count, chunks.c.outputs, chunks.c.reason)
            .where(chunks.c.job == job, chunks.c.number >= after)
            .order_by(chunks.c.number)
            .limit(limit)
        )
        with self._read() as connection:
            return [Part(**row) for row in connection.execute(query).mappings()]

    # Working

    def waiting(self) -> list[str]:
        """Unfinished jobs, oldest first."""
        query = select(jobs.c.id).where(jobs.c.state.in_(ACTIVE)).order_by(jobs.c.created)
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def pending(self, job: str, skip: Sequence[int], limit: int) -> list[int]:
        """The numbers of chunks that are not recorded, except those in `skip`."""
        query = select(chunks.c.number).where(_pending(job), chunks.c.number.not_in(skip))
        with self._read() as connection:
            return list(connection.execute(query.order_by(chunks.c.number).limit(limit)).scalars())

    def still_pending(self, job: str, numbers: Sequence[int]) -> set[int]:
        """Which of these chunks are not recorded."""
        query = select(chunks.c.number).where(_pending(job), chunks.c.number.in_(numbers))
        with self._read() as connection:
            return set(connection.execute(query).scalars())

    def payload(self, job: str, number: int) -> Payload | None:
        """A pending chunk with its rows; None if it is recorded or its job has ended."""
        query = (
            select(jobs.c.version, chunks.c.rows, chunks.c["count"])
            .join_from(chunks, jobs)
            .where(_pending(job), chunks.c.number == number)
        )
        with self._read() as connection:
            row = connection.execute(query).first()
        return Payload(job, number, *row) if row else None

    def suspects(self) -> list[tuple[str, int, int]]:
        """Pending chunks that were tried before: job, number, number of attempts."""
        query = (
            select(chunks.c.job, chunks.c.number, chunks.c.attempts)
            .join_from(chunks, jobs)
            .where(jobs.c.state.in_(ACTIVE), chunks.c.state == "pending", chunks.c.attempts > 0)
            .order_by(chunks.c.attempts.desc(), chunks.c.job, chunks.c.number)
        )
        with self._read() as connection:
            return [(row.job, row.number, row.attempts) for row in connection.execute(query)]

    def attempt(self, job: str, numbers: Sequence[int], change: int = 1) -> None:
        """Count an attempt for these chunks; with `change` -1, take it back."""
        query = (
            chunks.update()
            .where(_pending(job), chunks.c.number.in_(numbers))
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
                .where(_pending(job), chunks.c.number == number)
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

    # Helpers

    def _find(self, query: Select[Any]) -> Job | None:
        with self._read() as connection:
            row: RowMapping | None = connection.execute(query).mappings().first()
        return Job(**row) if row else None

    def _count_active(self, connection: Connection) -> int:
        query = select(func.count()).select_from(jobs).where(jobs.c.state.in_(ACTIVE))
        return connection.execute(query).scalar_one()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection


def _pending(job: str) -> Any:
    return and_(chunks.c.job == job, chunks.c.state == "pending")


def _one(connection: Connection, job: str) -> Job:
    return Job(**connection.execute(select(jobs).where(jobs.c.id == job)).mappings().one())
