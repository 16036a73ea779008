"""A model compiled in a process of its own, so that the process that answers needs no Keras.

Keras, what it imports and the compiler hold 90 MB, and take two seconds. They are needed once: the
machine code is kept in the registry, where each further worker, and a worker that is started
again, finds it. It is what Predictor.load would compile in this process, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
import stat
import subprocess
import sys
import tempfile
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from production_server.batch_sizes import BATCH_SIZES
from production_server.errors import ModelError
from production_server.model import kerasfiles
from production_server.model.predictor import Forward, Predictor
from production_server.places import IMPORT_FOLDER

if TYPE_CHECKING:
    from production_server.model.card import Card
    from production_server.model.registry import Registry

FOLDER = ".compiled"
CPU_TRAITS = (
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "flags",
    "Features",
    "CPU implementer",
    "CPU part",
)


def load(registry: Registry, version: str) -> Predictor:
    """A version of the registry, compiled apart; with a backend other than jax, as it is."""
    if kerasfiles.backend() != "jax":
        return Predictor.load(registry, version)
    card = registry.card(version)
    registry.checked_model_path(version)
    folder = own_folder(registry.path / FOLDER)
    if folder is not None:
        return Predictor(card, _forward(registry, card, folder))
    with tempfile.TemporaryDirectory() as scratch:
        return Predictor(card, _forward(registry, card, Path(scratch)))


def own_folder(path: Path) -> Path | None:
    """The folder, if only this account can write into it: what is in there will be run."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return None
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others
    return path if ours else None


def file_name(card: Card) -> str:
    """Names the model and everything that its machine code depends on."""
    libraries = [library_version(name) for name in ("jax", "jaxlib", "keras")]
    traits = [
        card.model_sha256,
        len(card.features),
        card.width,
        BATCH_SIZES,
        libraries,
        sys.version,
        _processor(),
    ]
    return f"{card.version}.{hashlib.sha256(repr(traits).encode()).hexdigest()[:32]}"


def _processor() -> str:
    """What machine code may count on here; an image may be started on another processor."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return f"{platform.platform()} {platform.node()}"
    return "\n".join(line for line in first.splitlines() if line.split("\t")[0] in CPU_TRAITS)


def _forward(registry: Registry, card: Card, folder: Path) -> Forward:
    file = folder / file_name(card)
    if file.exists():
        kerasfiles.jax_module()
    else:
        command = [
            sys.executable,
            "-m",
            "production_server.model.compiling",
            str(registry.path.absolute()),
            card.version,
            str(file.absolute()),
        ]
        with subprocess.Popen(
            command,
            cwd=IMPORT_FOLDER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as compiler:
            kerasfiles.jax_module()  # takes as long as the other process does for a third of it
            told, said = compiler.communicate()
        if compiler.returncode != 0:
            raise _refusal(card, compiler.returncode, told, said)
    return _loaded(file)


def _refusal(card: Card, code: int, told: str, said: str) -> ModelError:
    """Why the compiling process ended: its own words, or else its last line."""
    if told:
        return ModelError(*json.loads(told))
    last = (said.strip().splitlines() or ["it said nothing"])[-1]
    return ModelError(
        f"{card.version} could not be compiled (exit code {code}): {last}",
        "A negative code is the signal that killed it; 9 means that memory ran out.",
    )


def _loaded(file: Path) -> Forward:
    from jax.experimental.serialize_executable import deserialize_and_load

    # Written by this account into a folder that is its own.
    parts = pickle.loads(file.read_bytes())
    by_count = {count: deserialize_and_load(*part) for count, part in parts.items()}
    return lambda rows: np.asarray(by_count[len(rows)](rows))
