"""An archive of an older release is restored with every row."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

from production_server.backup import archive
from production_server.backup.archive import DATABASE, File, Manifest
from production_server.jobs.store import Store
from production_server.jobs.tables import SCHEMA
from production_server.model.registry import sha256_of
from production_server.settings import Settings, load_settings
from tests.support import old_databases
from tests.support.stopped_service import no_report, restored, saved


def archive_of_schema_1(folder: Path) -> bytes:
    """An archive as the release with schema 1 made it."""
    path = folder / DATABASE
    old_databases.create(path, 1)
    manifest = Manifest(
        format=1,
        created="2026-11-27T12:00:00+00:00",
        stackserve="0.1.0",
        code_hash="development",
        schema_version=1,
        rows={"stackserve_schema": 1, "jobs": 6, "chunks": 12},
        models=[],
        active=None,
        files={DATABASE: File(bytes=path.stat().st_size, sha256=sha256_of(path))},
    )
    stream = io.BytesIO()
    archive.pack(stream, folder, manifest, no_report)
    return stream.getvalue()


def test_an_archive_of_schema_1(settings: Settings, tmp_path: Path) -> None:
    content = archive_of_schema_1(tmp_path / "old")
    before = old_databases.contents(tmp_path / "old" / DATABASE)
    for home in (settings.home, tmp_path / "new"):
        restored(target := load_settings(home=home), content)
        after = old_databases.contents(home / DATABASE)
        assert after == before
        assert [path.name for path in home.glob("*restore*")] == []
    store = Store(target.store)
    assert store.with_key("done") is not None and len(store.waiting()) == 2
    store.close()


def test_a_backup_of_an_old_database_has_the_new_tables(tmp_path: Path) -> None:
    old, other = load_settings(home=tmp_path / "old"), load_settings(home=tmp_path / "other")
    old_databases.create(old.home / DATABASE, 1)
    manifest = restored(other, saved(old))
    assert (manifest.schema_version, manifest.rows["jobs"]) == (SCHEMA, 6)
    with closing(sqlite3.connect(other.home / DATABASE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
