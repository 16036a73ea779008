"""Backup and restore: every row comes back, and a bad archive changes nothing."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from production_server.backup import archive
from production_server.backup.archive import DATABASE
from production_server.cli import command
from production_server.errors import BackupError
from production_server.jobs.store import Store
from production_server.model.card import MODEL_FILE
from production_server.model.machine_code import FOLDER as COMPILED
from production_server.model.registry import Registry
from production_server.settings import Settings, load_settings
from tests.support.stopped_service import (
    add_job,
    refuse,
    restored,
    rows,
    saved,
    service,
    tree,
)

VERSION = "models/diabetes-1"


def run(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, env={"STACKSERVE_HOME": str(settings.home)})


def test_a_new_service_gets_every_row_key_and_model(settings: Settings, tmp_path: Path) -> None:
    registry = Registry(settings.registry_path)
    shipped = registry.card("diabetes-1")
    second = registry.add(shipped, registry.model_path("diabetes-1"), activate=True).version
    manifest = restored(other := load_settings(home=tmp_path / "other"), saved(settings), refuse)
    assert rows(other) == rows(settings)
    assert (manifest.rows["jobs"], manifest.rows["chunks"]) == (4, 10)
    assert manifest.models == ["diabetes-1", second]
    assert tree(other.registry_path) == tree(settings.registry_path)
    assert Registry(other.registry_path).active() == second
    store = Store(other.store)
    found = store.with_key("three")
    assert found is not None and found.state == "running"
    assert len(store.waiting()) == 2, "unfinished jobs go on"
    assert [part.outputs for part in store.parts(found.id, 0, 1)] == [bytes([7, 0]) * 20]
    store.close()


def test_the_present_state_is_replaced(settings: Settings) -> None:
    before, kept = rows(settings), saved(settings)
    store = Store(settings.store)
    extra = add_job(store, "five", 3)
    store.close()
    registry = Registry(settings.registry_path)
    card = registry.add(registry.card("diabetes-1"), registry.model_path("diabetes-1"))
    asked: list[str] = []
    restored(settings, kept, asked.append)
    assert asked == [f"1 job and the model {card.version}"]
    assert rows(settings) == before
    assert registry.versions() == ["diabetes-1"]
    store = Store(settings.store)
    assert store.get(extra) is None and store.with_key("one") is not None
    store.close()
    left = {path.name for path in settings.home.iterdir()}
    assert left <= {
        "jobs.sqlite3",
        "models",
        ".backup.lock",
        "jobs.sqlite3-wal",
        "jobs.sqlite3-shm",
    }


def test_a_wiped_service_is_not_asked_about(settings: Settings) -> None:
    before, models, kept = rows(settings), tree(settings.registry_path), saved(settings)
    shutil.rmtree(settings.home)
    restored(settings, kept, refuse)
    assert rows(settings) == before and tree(settings.registry_path) == models
    restored(settings, kept, refuse)
    assert rows(settings) == before


def test_compiled_models_need_not_be_compiled_again(settings: Settings, tmp_path: Path) -> None:
    other = service(tmp_path / "other")
    compiled = other.registry_path / COMPILED
    compiled.mkdir()
    (compiled / "diabetes-1.hash").write_bytes(b"machine code")
    restored(other, saved(settings))
    assert (compiled / "diabetes-1.hash").read_bytes() == b"machine code"


def test_no_means_that_nothing_changes(settings: Settings, tmp_path: Path) -> None:
    kept = saved(settings)
    other = service(tmp_path / "other")
    before = rows(other), tree(other.registry_path)

    def no(lost: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restored(other, kept, no)
    assert (rows(other), tree(other.registry_path)) == before
    assert not [path for path in other.home.iterdir() if path.name.startswith(".restore")]


def test_a_backup_of_a_busy_service_is_one_moment(settings: Settings, tmp_path: Path) -> None:
    """A job and its chunks are accepted in one transaction: a copy never has only some of them."""
    store = Store(settings.store)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            add_job(store, None, 3)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [saved(settings) for _ in range(5)]
    finally:
        stop.set()
        writer.join()
        store.close()
    counted = []
    for number, copy in enumerate(copies):
        other = load_settings(home=tmp_path / str(number))
        counted.append(restored(other, copy, refuse).rows["jobs"])
        store = Store(other.store)
        for job in store.page(1000):
            assert len(store.parts(job.id, 0, 100)) == job.chunks
            assert len(store.pending(job.id, [], 100)) == job.chunks - (
                job.chunks_done + job.chunks_failed
            )
        store.close()
    assert counted == sorted(counted) and counted[-1] > counted[0]


def unzipped(content: bytes) -> bytes | None:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return None


def damaged(kept: bytes) -> dict[str, bytes]:
    found = {f"cut at {place}": kept[:place] for place in range(0, len(kept), len(kept) // 15)}
    found["without the last byte"] = kept[:-1]
    # The first ten bytes are gzip's header, which holds nothing that matters.
    for place in range(10, len(kept), len(kept) // 40):
        changed = kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :]
        # Among zeros, some bits say the same thing in another way.
        if unzipped(changed) != unzipped(kept):
            found[f"changed at {place}"] = changed
    found["text"] = b"this is not an archive"
    return found


def test_a_damaged_archive_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    kept = saved(settings)
    other = service(tmp_path / "other")
    before = tree(other.home)
    bad = damaged(kept)
    assert len(bad) > 45
    for name, content in bad.items():
        with pytest.raises(BackupError, match="damaged or is not a backup"):
            restored(other, content)
            pytest.fail(name)
        assert tree(other.home) == before, name


Members = list[tuple[tarfile.TarInfo, bytes]]


def repacked(kept: bytes, change: Callable[[Members], Any]) -> bytes:
    """The archive after `change`, with valid checksums of gzip and tar."""
    with tarfile.open(fileobj=io.BytesIO(kept)) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    change(members)
    stream = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=stream, mode="wb") as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for member, content in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def with_manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Members], None]:
    def edit(members: Members) -> None:
        manifest = json.loads(members[0][1])
        change(manifest)
        members[0] = (members[0][0], json.dumps(manifest).encode())

    return edit


def outside(members: Members) -> None:
    """A file outside the folder, which the manifest names with its right checksum."""
    path = f"{VERSION}/../../../evil"
    edit = with_manifest(lambda m: m["files"].update({path: m["files"][DATABASE]}))
    edit(members)
    members.append((tarfile.TarInfo(path), members[1][1]))


def linked(members: Members) -> None:
    place = next(n for n, (member, _) in enumerate(members) if member.name.endswith(MODEL_FILE))
    link = tarfile.TarInfo(members[place][0].name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[place] = (link, b"")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (outside, "evil"),
        (linked, "is not as manifest.json says"),
        (lambda m: m.append((tarfile.TarInfo("extra"), b"x")), "'extra' is not as"),
        (lambda m: m.append(m[1]), "is not as manifest.json says"),
        (lambda m: m.pop(), "is missing"),
        (lambda m: m.reverse(), "does not begin with manifest.json"),
        (with_manifest(lambda m: m["rows"].update(jobs=5)), "has the rows"),
        (with_manifest(lambda m: m.update(active="flowers-1")), "'flowers-1' is missing"),
        (with_manifest(lambda m: m.pop("files")), "manifest.json: Field required"),
        (with_manifest(lambda m: m.update(format=2)), "has format 2"),
        (with_manifest(lambda m: m.update(schema_version=99)), "schema 99"),
        (with_manifest(lambda m: m["rows"].pop("jobs")), "its manifest has the tables"),
        (with_manifest(lambda m: m["rows"].update(users=1)), "its manifest has the tables"),
    ],
)
def test_an_archive_that_is_not_as_its_manifest_is_refused(
    change: Callable[[Members], Any], words: str, settings: Settings, tmp_path: Path
) -> None:
    content = repacked(saved(settings), change)
    other = load_settings(home=tmp_path / "other")
    with pytest.raises(BackupError, match=words):
        restored(other, content)
    assert not list(tmp_path.rglob("evil"))
    assert list(tree(other.home)) == []


def test_a_running_service_is_not_touched(settings: Settings) -> None:
    kept = saved(settings)
    store = Store(settings.store)
    before = rows(settings)
    with pytest.raises(BackupError, match="the service is running"):
        restored(settings, kept)
    assert store.with_key("one") is not None
    store.close()
    assert rows(settings) == before
    restored(settings, kept)


def test_a_damaged_model_is_saved_as_it_is(settings: Settings, tmp_path: Path) -> None:
    model = settings.registry_path / "diabetes-1" / MODEL_FILE
    model.write_bytes(b"damaged")
    restored(other := load_settings(home=tmp_path / "other"), saved(settings), refuse)
    assert (other.registry_path / "diabetes-1" / MODEL_FILE).read_bytes() == b"damaged"


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:secret@db/jobs", "sqlite://"])
def test_only_sqlite_files_are_saved(url: str, settings: Settings) -> None:
    with pytest.raises(BackupError, match="only SQLite files") as refused:
        saved(load_settings(home=settings.home, store_url=url))
    assert "secret" not in str(refused.value)


def test_the_verbs(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "course.tar.gz"
    done = run(settings, "backup", str(file))
    assert done.output == f"{file}: 4 jobs, model diabetes-1\n"
    assert file.stat().st_mode & 0o777 == 0o600
    again = run(settings, "backup", str(file))
    assert again.exit_code == 1 and "exists already" in again.stderr
    assert run(settings, "restore", "--check", str(file)).output.startswith("intact: 4 jobs")
    other = service(tmp_path / "other")
    before = rows(other)
    refused = run(other, "restore", str(file))
    assert refused.exit_code == 1 and "would delete" in refused.stderr
    assert "4 jobs" in refused.stderr and "add --yes" in refused.stderr
    assert rows(other) == before
    done = run(other, "restore", str(file), "--yes")
    assert done.output == "restored: 4 jobs, model diabetes-1\n"
    assert rows(other) == rows(settings)


def test_the_verbs_in_a_pipe(settings: Settings, tmp_path: Path) -> None:
    kept = run(settings, "backup", "-")
    assert kept.stderr == "standard output: 4 jobs, model diabetes-1\n"
    other = load_settings(home=tmp_path / "other")
    environment = {"STACKSERVE_HOME": str(other.home)}
    done = CliRunner().invoke(command, ["restore", "-"], input=kept.stdout_bytes, env=environment)
    assert done.exit_code == 0, done.output
    assert rows(other) == rows(settings)


def test_a_backup_that_fails_leaves_no_file(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "pack", full)
    ended = run(settings, "backup", str(tmp_path / "a.tar.gz"))
    assert ended.exit_code == 1 and "No space left on device" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not [path for path in settings.home.iterdir() if path.name.startswith(".backup-")]


def test_one_at_a_time(settings: Settings) -> None:
    refused: list[BackupError] = []

    def report(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(BackupError, match="another backup or restore") as error:
                saved(settings)
            refused.append(error.value)

    from production_server.backup.save import save

    save(settings, io.BytesIO(), report)
    assert len(refused) == 1


def test_progress_ends_at_the_total(settings: Settings) -> None:
    steps: list[tuple[int, int]] = []
    archive.unpack(
        io.BytesIO(saved(settings)), settings.home / "x", lambda *step: steps.append(step)
    )
    assert steps[-1][0] == steps[-1][1] > 0
