"""Save the jobs and models of a service, running or not, to a stream."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from production_server import __version__
from production_server.backup import archive, database
from production_server.backup.archive import DATABASE, FORMAT, MODELS, File, Manifest, Report
from production_server.backup.restore import finish_interrupted
from production_server.backup.scratch import alone, scratch
from production_server.errors import RegistryError
from production_server.jobs.tables import SCHEMA
from production_server.model.activations import read_state
from production_server.model.card import CARD_FILE, MODEL_FILE
from production_server.model.registry import Registry, sha256_of
from production_server.settings import Settings

SCRATCH = ".backup-"


def save(settings: Settings, stream: IO[bytes], report: Report) -> Manifest:
    """Write an archive of one moment. The service keeps working meanwhile."""
    finish_interrupted(settings)
    with alone(settings.home), scratch(settings.home, SCRATCH) as folder:
        manifest = collect(settings, folder, report)
        archive.pack(stream, folder, manifest, report)
        stream.flush()
    return manifest


def collect(settings: Settings, folder: Path, report: Report) -> Manifest:
    """Copy everything to `folder` and describe it."""
    registry = Registry(settings.registry_path)
    registry.seed()
    store = database.file_of(settings)
    # A job must not refer to a model that came or went in between.
    with registry.frozen():
        database.copy(store, folder / DATABASE, report)
        models = registry.versions()
        for version in models:
            _copy_version(registry, version, folder / MODELS / version)
        active = _active(registry)
        rollout = read_state(registry.path)
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    return Manifest(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        stackserve=__version__,
        code_hash=settings.code_hash,
        schema_version=SCHEMA,
        rows=database.counts(folder / DATABASE),
        models=models,
        active=active,
        rollout=rollout,
        files={
            name: File(bytes=(folder / name).stat().st_size, sha256=sha256_of(folder / name))
            for name in names
        },
    )


def _copy_version(registry: Registry, version: str, target: Path) -> None:
    """Copy a version as it is, even if it is damaged: nothing is lost by a backup."""
    target.mkdir(parents=True)
    source = registry.model_path(version).parent
    for name in (CARD_FILE, MODEL_FILE):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _active(registry: Registry) -> str | None:
    try:
        return registry.active()
    except RegistryError:
        return None
