"""The job store on a real PostgreSQL, with concurrent writers."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from production_server.errors import KeyReused
from production_server.jobs.records import Outcome, Receipt, Share
from production_server.jobs.store import Store
from production_server.jobs.tables import metadata
from production_server.local.rabbitmq import free_port
from tests.support.rows import shipped
from tests.support.service import Service
from tests.support.tables import (
    check_result,
    csv_body,
    follow,
    keras_probabilities,
    submit,
    table,
)

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

# Takes away what later releases added to the tables.
BACK_TO_SCHEMA_1 = (
    "DROP TABLE alembic_version",
    "DROP TABLE pruned",
    "DROP TABLE version_counts",
    "ALTER TABLE stackserve_schema DROP COLUMN oldest",
    "DROP INDEX jobs_by_end",
    "ALTER TABLE jobs DROP COLUMN bytes",
    "ALTER TABLE chunks DROP COLUMN worker",
    "ALTER TABLE jobs DROP COLUMN owner",
    "ALTER TABLE jobs DROP COLUMN request_id",
    "UPDATE stackserve_schema SET version = 1",
)


@pytest.fixture(scope="module")
def server(needs: Callable[[object, str], None]) -> Iterator[str]:
    """Start a PostgreSQL server and return the URL of its database."""
    needs(BINARIES, "PostgreSQL is not installed: apt-get install postgresql")
    needs(find_spec("psycopg"), "psycopg is not installed: it is in tests/requirements.txt")
    # PostgreSQL refuses to run as root, and cannot read folders that belong to root.
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="stackserve-postgresql-"))
    shutil.chown(folder, user)
    port = free_port()

    def run(*command: str) -> None:
        subprocess.run(
            [str(BINARIES[-1] / command[0]), *command[1:]],
            user=user if os.geteuid() == 0 else None,
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "stackserve", "--auth", "trust", "--no-sync", "-E", "UTF8")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    yield f"postgresql+psycopg://stackserve@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def store(server: str) -> Iterator[Store]:
    store = Store(server)
    for job in store.page(500):
        store.cancel(job.id)
        store.remove(job.id)
    yield store
    store.close()


def create_job(store: Store, parts: int, key: str | None = None, body_hash: str = "hash") -> str:
    job = store.begin("tiny-1", {"kind": "binary"})
    for number in range(parts):
        store.stage(job, number, 10, b"rows")
    return store.accept(job, Receipt(10 * parts, parts, key, body_hash, 9, [], []), 1000).id


def run_concurrently(work: Callable[[], None], threads: int = 6) -> None:
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            raise

    running = [threading.Thread(target=guarded) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert errors == []


def test_concurrent_processes_can_create_the_tables(server: str) -> None:
    run_concurrently(lambda: Store(server).close())


def test_concurrent_processes_can_change_older_tables(server: str, store: Store) -> None:
    kept = create_job(store, 3)
    engine = create_engine(server)
    with engine.begin() as connection:
        for statement in BACK_TO_SCHEMA_1:
            connection.execute(text(statement))
    run_concurrently(lambda: Store(server).close())
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    found = store.get(kept)
    assert found is not None and (found.state, found.bytes) == ("queued", 1024 + 12)


def test_chunk_counts_once_despite_concurrent_records_and_cancels(
    server: str, store: Store
) -> None:
    job, doomed = create_job(store, 30), create_job(store, 30)

    def record() -> None:
        own = Store(server)
        for number in range(30):
            own.record(job, number, Outcome(outputs=b"out", worker="w1"))
            own.record(doomed, number, Outcome(error="why"))
            if number == 15:
                own.cancel(doomed)
        own.close()

    run_concurrently(record)
    found, other = store.get(job), store.get(doomed)
    assert found is not None
    assert other is not None
    assert (found.state, found.chunks_done, found.rows_done) == ("done", 30, 300)
    assert store.shares(job) == [Share("w1", 30, 300)]
    assert other.state == "cancelled"


def test_one_key_creates_one_job(store: Store) -> None:
    seen: list[str] = []
    run_concurrently(lambda: seen.append(create_job(store, 3, key="k")))
    assert len(set(seen)) == 1
    with pytest.raises(KeyReused):
        create_job(store, 1, key="k", body_hash="another")
    assert len(store.page(10)) == 1


def test_pages_and_pruning(store: Store) -> None:
    jobs = [create_job(store, 1) for _ in range(5)]
    assert [job.id for job in store.page(3)] == jobs[:1:-1]
    assert [job.id for job in store.page(3, jobs[2])] == jobs[1::-1]
    store.cancel(jobs[0])
    store.begin("tiny-1", {})
    deleted = store.prune(time.time() + 1000, 900)
    assert [(batch.reason, len(batch.jobs)) for batch in deleted] == [("abandoned", 1), ("age", 1)]
    assert store.counts() == {"queued": 4}
    usage = store.usage()
    assert (usage.bytes, usage.budget) == (4 * (1024 + 4), None)
    assert usage.pruned["age"][0] >= 1


def test_service_stores_its_jobs_in_postgresql(server: str, tmp_path: Path) -> None:
    registry, card = shipped()
    values = table(card, 12_000)
    with (
        Service(tmp_path, settings={"STACKSERVE_STORE_URL": server}) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        job = submit(client, csv_body(card, values))["id"]
        assert follow(client, job)["state"] == "done"
        check_result(client, job, keras_probabilities(registry, card, values))
        assert not list(service.home.glob("*.sqlite3"))
