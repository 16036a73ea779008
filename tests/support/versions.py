"""More versions of the shipped model."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

from production_server.model import machine_code
from production_server.model.registry import Registry

MEGABYTE = 1 << 20


def newer(registry: Registry, *, activate: bool = True) -> str:
    """Add a version with the same model as the active one."""
    active = registry.active()
    model = registry.model_path(active)
    return registry.add(registry.card(active), model, activate=activate).version


def large(registry: Registry, folder: Path, megabytes: int = 64) -> str:
    """Add a version whose file is so large that its transfer can be interrupted."""
    active = registry.active()
    path = folder / "large.keras"
    shutil.copyfile(registry.model_path(active), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as file:
        file.writestr("padding", os.urandom(megabytes * MEGABYTE))
    return registry.add(registry.card(active), path).version


def compile_ahead(registry: Registry, *versions: str) -> None:
    """Let these versions use the machine code of the active one, which has the same model."""
    active = registry.active()
    folder = registry.path / machine_code.FOLDER
    (compiled,) = folder.glob(f"{active}.*")
    for version in versions:
        shutil.copyfile(compiled, folder / f"{version}.{compiled.suffix[1:]}")
