"""The store: the database of jobs. Every method is one transaction.

States of a job: receiving (the body is still arriving, and the job is hidden) -> queued -> running
-> done, failed (some chunks failed; the result has the rest and the reasons) or cancelled.

States of a chunk: pending -> done or failed. Only the dispatcher knows which chunks are in flight.
After a crash, it sends all pending chunks again, and the store counts each outcome once.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError, OperationalError

from production_server.jobs import counting, pruning, shrinking
from production_server.jobs.ballast import Ballast
from production_server.jobs.pruning import JOB_BYTES, Batch, batches, check_budget
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
from production_server.jobs.space import database_file, is_full
from production_server.jobs.tables import chunks, jobs

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Store(Reader):
    """The jobs of one service."""

    def __init__(self, url: str, budget: int | None = None) -> None:
        super().__init__(url, budget)
        self._ballast = Ballast(database_file(self._engine))

    # Receiving

    def begin(
        self,
        version: str,
        answer: dict[str, Any],
        owner: str | None = None,
        request_id: str | None = None,
    ) -> str:
        """Create a job to stage chunks in. It is hidden until it is accepted."""
        # Whoever knows the ID may use the job, so nobody must be able to guess it.
        job = secrets.token_hex(16)
        now = time.time()
        with self._write() as connection:
            connection.execute(
                jobs.insert().values(
                    id=job,
                    state="receiving",
                    version=version,
                    answer=answer,
                    owner=owner,
                    request_id=request_id,
                    created=now,
                    touched=now,
                    bytes=JOB_BYTES,
                )
            )
        return job

    def stage(self, job: str, number: int, count: int, rows: bytes) -> None:
        """Add a chunk to a job that is arriving. Raises StoreFull if it exceeds the budget."""
        now = time.time()
        with self._write() as connection:
            check_budget(connection, self._budget, len(rows), now)
            connection.execute(
                chunks.insert().values(
                    job=job, number=number, state="pending", count=count, rows=rows
                )
            )
            connection.execute(
                jobs.update()
                .where(jobs.c.id == job)
                .values(touched=now, bytes=jobs.c.bytes + len(rows))
            )

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
                    worker=outcome.worker,
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
                    jobs.update()
                    .where(jobs.c.id == job)
                    .values(state=state, finished=now, bytes=_result_bytes(job))
                )
            return True

    def keep(self, job: str) -> None:
        """Keep a result from being deleted to make room, because somebody is reading it."""
        with self._write() as connection:
            connection.execute(jobs.update().where(jobs.c.id == job).values(touched=time.time()))

    # Ending

    def cancel(self, job: str) -> bool:
        """Cancel an unfinished job and delete its rows; False if it has ended."""

        def change(connection: Connection) -> bool:
            stopped = connection.execute(
                jobs.update()
                .where(jobs.c.id == job, jobs.c.state.in_(ACTIVE))
                .values(state="cancelled", finished=time.time(), bytes=JOB_BYTES)
            )
            if stopped.rowcount:
                connection.execute(chunks.delete().where(chunks.c.job == job))
            return bool(stopped.rowcount)

        return self._free(change)

    def remove(self, job: str) -> bool:
        """Delete a finished job and its result."""
        query = jobs.delete().where(jobs.c.id == job, jobs.c.state.in_(FINISHED))
        return self._free(lambda connection: bool(connection.execute(query).rowcount))

    # Housekeeping

    def prune(self, now: float, retention: float) -> list[Batch]:
        """Delete some of the jobs that are too old, too many or abandoned; [] if none is left."""
        with self._read() as connection:
            found = list(batches(connection, now, retention, self._budget))
        return [batch for batch in found if batch.jobs and self._prune(batch)]

    def _prune(self, batch: Batch) -> int:
        query = jobs.delete().where(jobs.c.id.in_(batch.jobs), batch.condition)

        def delete(connection: Connection) -> int:
            deleted = connection.execute(query).rowcount
            pruning.count(connection, batch.reason, deleted, batch.bytes)
            return deleted

        return self._free(delete)

    def count(self, trial: int, version: str, amounts: Mapping[str, float]) -> None:
        """Add to what was counted of a version."""
        with self._write() as connection:
            counting.add(connection, trial, version, amounts)

    def allow_shrinking(self) -> None:
        shrinking.allow_shrinking(self._engine)

    def shrink(self, stopping: threading.Event) -> None:
        """Give free pages of the database back to the disk, and restore the ballast."""
        self._ballast.restore()
        # The ballast takes at most half of the free space.
        shrinking.shrink(self._engine, stopping, 2 * self._ballast.missing)
        self._ballast.restore()

    def _free(self, work: Callable[[Connection], Result]) -> Result:
        """Run a transaction that frees space, which has to succeed on a full disk too."""
        try:
            with self._write() as connection:
                return work(connection)
        except OperationalError as error:
            if not is_full(error) or not self._ballast.release():
                raise
        log.warning("the disk is full; released the ballast to delete a job")
        with self._write() as connection:
            # Overwriting what is deleted would take as much space again.
            connection.exec_driver_sql("PRAGMA secure_delete=FAST")
            return work(connection)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(writes=True)
            with connection.begin():
                yield connection


def _one(connection: Connection, job: str) -> Job:
    return Job(**connection.execute(select(jobs).where(jobs.c.id == job)).mappings().one())


def _result_bytes(job: str) -> Any:
    """What a finished job takes."""
    size = func.coalesce(func.sum(func.length(chunks.c.outputs)), 0)
    return select(size + JOB_BYTES).where(chunks.c.job == job).scalar_subquery()
