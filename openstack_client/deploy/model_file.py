"""The model that `update --model` sends, as one .tar: from a folder, a file or a version."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from openstack_client.errors import SettingsError

VERSION = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*-[1-9][0-9]*")
# What the service's gate knows to read.
PARTS = ("model.keras", "card.json", "model.json", "model.h5")
FEATURES = ("features.toml", "features.json")
WAYS = "Give a version, a version folder, a .tar, a .keras or .h5 file, or model.json."


@contextmanager
def packed(given: str, features: Path | None) -> Iterator[IO[bytes] | None]:
    """The .tar, open; None for a version that is not in the registry of this machine."""
    path = Path(given).expanduser()
    with tempfile.TemporaryDirectory(prefix="stackserve-update-") as folder:
        target = Path(folder) / "model.tar"
        file: Path | None
        if path.exists():
            file = _pack(path, features, target)
        elif VERSION.fullmatch(given):
            file = _exported(given, target)
        else:
            raise SettingsError(f"There is no {given}.", WAYS)
        if file is None:
            yield None
            return
        with file.open("rb") as sent:
            yield sent


def _pack(path: Path, features: Path | None, target: Path) -> Path:
    if path.suffix == ".tar" and features is None:
        return path
    files = _files(path)
    if features is not None:
        if not features.is_file():
            raise SettingsError(f"There is no features file {features}.", "Check its path.")
        files[f"features{features.suffix}"] = features
    with tarfile.open(target, "w") as archive:
        for name, file in files.items():
            archive.add(file, name)
    return target


def _files(path: Path) -> dict[str, Path]:
    """The files of a model, by their names in the archive. The gate says what is missing."""
    if path.is_dir():
        found = {name: path / name for name in (*PARTS, *FEATURES) if (path / name).is_file()}
        if not found:
            raise SettingsError(f"{path} holds no model.", WAYS)
        return found
    weights = path.with_suffix(".h5")
    if path.suffix == ".json" and weights.is_file():
        return {"model.json": path, "model.h5": weights}
    if path.suffix not in (".keras", ".h5", ".json"):
        raise SettingsError(f"{path} is no model file.", WAYS)
    return {f"model{path.suffix}": path}


def _exported(version: str, target: Path) -> Path | None:
    """The version from the registry of this machine, if it is there."""
    command = [sys.executable, "-m", "production_server", "models", "export", version]
    done = subprocess.run([*command, "--output", str(target)], capture_output=True, check=False)
    return target if done.returncode == 0 else None
