"""A database of an older release opens with every row, and one of a newer release is refused."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import OperationalError

from production_server.errors import StoreError
from production_server.jobs import migrations
from production_server.jobs.engine import open_engine
from production_server.jobs.records import STATES, Outcome, Share
from production_server.jobs.store import Store
from production_server.jobs.tables import SCHEMA, metadata
from tests.support import old_databases

ROOT = Path(__file__).resolve().parents[4]
OPEN = """
import sys
from production_server.jobs.store import Store
print("open", flush=True)
sys.stdin.readline()
Store(sys.argv[1]).close()
print([name for name in sys.modules if name == "alembic"])
"""
# Dies as from kill -9, at the end of the transaction and before its commit.
DIE = """
import os, signal, sys
from production_server.jobs import engine, migrations
upgrade = migrations.upgrade
def upgrade_and_die(connection):
    upgrade(connection)
    os.kill(os.getpid(), signal.SIGKILL)
migrations.upgrade = upgrade_and_die
engine.open_engine(sys.argv[1])
"""


@pytest.fixture(params=old_databases.SCHEMAS)
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "jobs.sqlite3"
    old_databases.create(path, request.param)
    return path


def openers(url: str, count: int) -> list[subprocess.Popen[str]]:
    """Processes that open the store at the same moment."""
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    command = [sys.executable, "-c", OPEN, url]
    processes = [subprocess.Popen(command, **pipe) for _ in range(count)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "open\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


def test_every_row_of_an_old_database_is_kept(old: Path) -> None:
    before = old_databases.contents(old)
    assert sorted(job["state"] for job in before["jobs"]) == sorted(STATES)
    store = Store(f"sqlite:///{old}")
    after = old_databases.contents(old)
    assert after == before
    with closing(sqlite3.connect(old)) as connection:
        sizes = [size for (size,) in connection.execute("SELECT bytes FROM jobs ORDER BY id")]
    assert sizes == [1024 + size for size in (128, 128, 8 + 128, 24, 8, 0)]
    assert store.counts()["queued"] == 1
    running = store.with_key("running")
    assert running is not None
    for number in (1, 2):
        assert store.record(running.id, number, Outcome(outputs=b"12345678", worker="w1"))
    assert store.get(running.id).state == "done"  # type: ignore[union-attr]
    assert store.shares(running.id) == [Share("w1", 2, 4)]
    store.close()
    Store(f"sqlite:///{old}").close()


def test_old_and_new_databases_have_the_same_tables(old: Path, tmp_path: Path) -> None:
    for path in (old, tmp_path / "new.sqlite3"):
        engine = open_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_server_default": True})
            assert compare_metadata(context, metadata) == []
            assert context.get_current_revision() == str(SCHEMA)
        engine.dispose()


def test_processes_that_start_together_change_the_tables_once(old: Path) -> None:
    processes = openers(f"sqlite:///{old}", 4)
    output = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert "['alembic']\n" in output
    assert len(old_databases.contents(old)["jobs"]) == len(STATES)


def test_only_an_old_database_needs_alembic(tmp_path: Path) -> None:
    for _ in ("new", "present"):
        processes = openers(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", 3)
        assert [process.communicate(timeout=60)[0] for process in processes] == ["[]\n"] * 3


def test_a_killed_migration_changes_nothing(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        before = list(connection.iterdump())
    died = subprocess.run(
        [sys.executable, "-c", DIE, f"sqlite:///{old}"], cwd=ROOT, check=False, env=os.environ
    )
    assert died.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(old)) as connection:
        assert list(connection.iterdump()) == before
    test_every_row_of_an_old_database_is_kept(old)


def test_a_failed_migration_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(old)) as connection:
        before = list(connection.iterdump())
    upgrade = migrations.upgrade

    def fail(connection: object) -> None:
        upgrade(connection)  # type: ignore[arg-type]
        raise OperationalError("ALTER", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(migrations, "upgrade", fail)
    with pytest.raises(StoreError, match="disk is full"):
        open_engine(f"sqlite:///{old}")
    with closing(sqlite3.connect(old)) as connection:
        assert list(connection.iterdump()) == before


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    Store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE stackserve_schema SET version = 99, oldest = 98")
        connection.commit()
    with pytest.raises(StoreError, match=r"newer release \(schema 99") as refused:
        Store(f"sqlite:///{path}")
    assert "newer release" in refused.value.remedy


def test_older_code_can_use_what_newer_code_only_added_to(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite3"
    Store(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE stackserve_schema SET version = 99")
        connection.execute("ALTER TABLE jobs ADD COLUMN later TEXT")
        connection.commit()
    store = Store(f"sqlite:///{path}")
    assert sum(store.counts().values()) == 0
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM stackserve_schema").fetchall() == [(99,)]
