"""What can be read from the store. Every method is one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select, true
from sqlalchemy.pool import PoolProxiedConnection

from production_server.jobs import counting
from production_server.jobs.engine import open_engine
from production_server.jobs.pruning import total_bytes
from production_server.jobs.records import ACTIVE, Job, Part, Payload, Share, Usage, queue_full
from production_server.jobs.space import budget_of, check_space
from production_server.jobs.tables import chunks, jobs, pruned


class Anybody:
    """Stands for every owner."""


ANYBODY = Anybody()


class Reader:
    """The jobs of one service, to read."""

    def __init__(self, url: str, budget: int | None = None) -> None:
        """`budget` is the most bytes of jobs; by default, it depends on the disk."""
        self._engine = open_engine(url)
        self._budget = budget_of(self._engine, budget)
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

    def with_key(self, key: str | None) -> Job | None:
        """The accepted job with an Idempotency-Key."""
        return self._find(select(jobs).where(jobs.c.idempotency_key == key)) if key else None

    def check_room(self, most: int) -> None:
        """Raise QueueFull if a new job could not be accepted now."""
        with self._read() as connection:
            if (count := self._count_active(connection)) >= most:
                raise queue_full(count)

    def check_space(self) -> None:
        """Raise StoreFull if the disk has no room for a job."""
        check_space(self._engine)

    def get(self, job: str) -> Job | None:
        return self._find(select(jobs).where(jobs.c.id == job, jobs.c.state != "receiving"))

    def page(
        self, limit: int, before: str | None = None, owner: str | Anybody | None = ANYBODY
    ) -> list[Job]:
        """An owner's jobs, newest first. `before` is the id of the last job of the page before."""
        if owner is None:
            return []
        mine = true() if isinstance(owner, Anybody) else jobs.c.owner == owner
        query = select(jobs).where(jobs.c.state != "receiving", mine)
        with self._read() as connection:
            if before:
                mark = select(jobs.c.created).where(jobs.c.id == before, mine)
                if (created := connection.execute(mark).scalar()) is None:
                    return []
                older = and_(jobs.c.created == created, jobs.c.id < before)
                query = query.where(or_(jobs.c.created < created, older))
            query = query.order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
            return [Job(**row) for row in connection.execute(query).mappings()]

    def counts(self) -> dict[str, int]:
        """The number of jobs in each state."""
        with self._read() as connection:
            return self._counts(connection)

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

    def shares(self, job: str) -> list[Share]:
        """What each host has done of a job, by name. Chunks of unknown hosts do not count."""
        done = func.sum(chunks.c["count"]).label("rows")
        query = (
            select(chunks.c.worker.label("host"), func.count().label("chunks"), done)
            .where(chunks.c.job == job, chunks.c.worker.is_not(None))
            .group_by(chunks.c.worker)
            .order_by(chunks.c.worker)
        )
        with self._read() as connection:
            found = connection.execute(query)
            return [Share(row.host, row.chunks, int(row.rows)) for row in found]

    def unfinished(self, version: str) -> list[str]:
        """The accepted or arriving jobs that need this version, oldest first."""
        states = ("receiving", *ACTIVE)
        query = select(jobs.c.id).where(jobs.c.version == version, jobs.c.state.in_(states))
        with self._read() as connection:
            return list(connection.execute(query.order_by(jobs.c.created)).scalars())

    def unfinished_chunks(self) -> int:
        """The number of chunks of accepted jobs that have no outcome yet."""
        left = jobs.c.chunks - jobs.c.chunks_done - jobs.c.chunks_failed
        query = select(func.coalesce(func.sum(left), 0)).where(jobs.c.state.in_(ACTIVE))
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def usage(self) -> Usage:
        """The number and bytes of jobs, and what was deleted."""
        with self._read() as connection:
            deleted = {
                row.reason: (row.jobs, row.bytes) for row in connection.execute(select(pruned))
            }
            used = total_bytes(connection)
            return Usage(self._counts(connection), used, self._budget, deleted)

    def counted(self, trial: int) -> dict[str, dict[str, float]]:
        """What was counted in a trial, by version; with 0, the outcomes."""
        with self._read() as connection:
            return counting.read(connection, trial)

    # For the dispatcher

    def waiting(self) -> list[str]:
        """Unfinished jobs, oldest first."""
        query = select(jobs.c.id).where(jobs.c.state.in_(ACTIVE)).order_by(jobs.c.created)
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def pending(self, job: str, skip: Sequence[int], limit: int) -> list[int]:
        """The numbers of chunks that are not recorded, except those in `skip`."""
        query = select(chunks.c.number).where(pending_of(job), chunks.c.number.not_in(skip))
        with self._read() as connection:
            return list(connection.execute(query.order_by(chunks.c.number).limit(limit)).scalars())

    def still_pending(self, job: str, numbers: Sequence[int]) -> set[int]:
        """Which of these chunks are not recorded."""
        query = select(chunks.c.number).where(pending_of(job), chunks.c.number.in_(numbers))
        with self._read() as connection:
            return set(connection.execute(query).scalars())

    def payload(self, job: str, number: int) -> Payload | None:
        """A pending chunk with its rows; None if it is recorded or its job has ended."""
        query = (
            select(jobs.c.version, chunks.c.rows, chunks.c["count"], jobs.c.request_id)
            .join_from(chunks, jobs)
            .where(pending_of(job), chunks.c.number == number)
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

    def _find(self, query: Select[Any]) -> Job | None:
        with self._read() as connection:
            row: RowMapping | None = connection.execute(query).mappings().first()
        return Job(**row) if row else None

    def _counts(self, connection: Connection) -> dict[str, int]:
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        return {row.state: row[1] for row in connection.execute(query)}

    def _count_active(self, connection: Connection) -> int:
        query = select(func.count()).select_from(jobs).where(jobs.c.state.in_(ACTIVE))
        return connection.execute(query).scalar_one()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect() as connection, connection.begin():
            yield connection


def pending_of(job: str) -> Any:
    """The condition for a job's chunks without an outcome."""
    return and_(chunks.c.job == job, chunks.c.state == "pending")
