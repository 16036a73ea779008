"""Replace the jobs and models of a stopped service by those of an archive: all or nothing.

The archive is unpacked and checked in a folder beside the registry. Then the rows are replaced in
one transaction, and the registry by a rename just before the transaction commits, or in place if it
is a volume. The commit also writes a number into the database. The present registry is kept under a
name with that number until then, so that after a crash the number decides whether to finish the
restore or to undo it.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from production_server.backup import archive, database, in_place
from production_server.backup.archive import DATABASE, MODELS, Manifest, Report
from production_server.backup.scratch import alone, scratch, uninterrupted
from production_server.model.activations import ACTIVE_FILE, State, write_state
from production_server.model.card import MODEL_FILE
from production_server.model.durable import sync
from production_server.model.machine_code import FOLDER as COMPILED
from production_server.model.registry import Registry, sha256_of
from production_server.settings import Settings

SCRATCH = ".restore-"
LARGEST_NUMBER = 2**31 - 1


def restore(
    settings: Settings, stream: IO[bytes], report: Report, confirm: Callable[[str], None]
) -> Manifest:
    """Restore an archive. `confirm` gets what would be deleted, and raises to stop."""
    finish_interrupted(settings)
    registry = registry_of(settings)
    with alone(settings.home), scratch(registry.parent, SCRATCH) as folder:
        manifest = unpack(stream, folder, report)
        store = database.file_of(settings)
        database.refuse_if_open(store)
        if lost := _lost(store, registry, folder, manifest):
            confirm(lost)
        _replace(store, registry, folder)
    return manifest


def check(settings: Settings, stream: IO[bytes], report: Report) -> Manifest:
    """Check an archive completely without restoring it."""
    with alone(settings.home), scratch(registry_of(settings).parent, SCRATCH) as folder:
        return unpack(stream, folder, report)


def registry_of(settings: Settings) -> Path:
    """The registry's folder; it is created if it is missing."""
    settings.registry_path.mkdir(parents=True, exist_ok=True)
    return settings.registry_path.resolve()


def unpack(stream: IO[bytes], folder: Path, report: Report) -> Manifest:
    """Unpack an archive to `folder`, complete and on the disk."""
    manifest = archive.unpack(stream, folder, report)
    database.check(folder / DATABASE, manifest)
    database.upgrade(folder / DATABASE)
    models = folder / MODELS
    models.mkdir(exist_ok=True)
    if manifest.active is not None:
        (models / ACTIVE_FILE).write_text(manifest.active + "\n", encoding="utf-8")
        sync(models / ACTIVE_FILE)
    if manifest.rollout != State():
        write_state(models, manifest.rollout)
    for path in (*models.iterdir(), models, folder):
        if path.is_dir():
            sync(path)
    return manifest


def finish_interrupted(settings: Settings) -> None:
    """Finish or undo a restore that was killed. The services call this when they start."""
    registry = settings.registry_path.resolve()
    if not any(_set_aside(registry)):
        return
    if any(in_place.kept_in(registry)) and not settings.store_exists:
        return  # a worker's container: only those with the database can tell
    with alone(settings.home, wait=True):
        for aside in list(_set_aside(registry)):
            number = in_place.number_of(aside)
            if database.marker(database.file_of(settings)) != number:
                _undo(registry, aside)
            else:
                shutil.rmtree(aside)


def _set_aside(registry: Path) -> Iterator[Path]:
    name = re.compile(rf"{re.escape(registry.name)}\.before-\d+")
    if registry.parent.is_dir():
        yield from (path for path in registry.parent.iterdir() if name.fullmatch(path.name))
    yield from in_place.kept_in(registry)


def _lost(store: Path, registry: Path, folder: Path, manifest: Manifest) -> str:
    """What the service has and the archive does not."""
    jobs = database.jobs_missing_in(store, folder / DATABASE)
    models = [
        version
        for version in Registry(registry).versions()
        if not _same(registry / version / MODEL_FILE, folder / MODELS / version / MODEL_FILE)
    ]
    parts = [f"{jobs:,} {'job' if jobs == 1 else 'jobs'}"] if jobs else []
    parts += [f"the {'model' if len(models) == 1 else 'models'} {', '.join(models)}"] * bool(models)
    return " and ".join(parts)


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and sha256_of(one) == sha256_of(other)


def _replace(store: Path, registry: Path, folder: Path) -> None:
    if (registry / COMPILED).is_dir():
        # Its files name the hash of their model, so the workers need not compile it again.
        shutil.copytree(registry / COMPILED, folder / MODELS / COMPILED)
    number = secrets.randbelow(LARGEST_NUMBER) + 1
    with database.replacement(store, folder / DATABASE, number) as commit, uninterrupted():
        try:
            _exchange(registry, folder / MODELS, number)
            _sync_registry(registry)
            commit()
        except BaseException:
            for aside in list(_set_aside(registry)):
                _undo(registry, aside)
            raise
        for aside in list(_set_aside(registry)):
            shutil.rmtree(aside)


def _exchange(registry: Path, fresh: Path, number: int) -> None:
    aside = registry.with_name(f"{registry.name}.before-{number}")
    try:
        registry.rename(aside)
    except OSError as error:
        if error.errno not in in_place.CANNOT_RENAME:
            raise
        in_place.exchange(registry, fresh, number)
    else:
        fresh.rename(registry)


def _undo(registry: Path, aside: Path) -> None:
    if aside.parent == registry:
        in_place.undo(registry, aside)
        return
    if registry.exists():
        shutil.rmtree(registry)
    aside.rename(registry)
    _sync_registry(registry)


def _sync_registry(registry: Path) -> None:
    sync(registry.parent)
