"""Loads models as machine code, so that a worker needs no Keras.

Keras, its imports and the compiler take 90 MB and two seconds. So a separate process compiles each
version once and stores the machine code in the registry for all workers. The code is the same that
Predictor.load would compile in this process, so its answers are equal to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import logging
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
from production_server.model.durable import read_sealed
from production_server.model.predictor import Forward, Predictor
from production_server.places import IMPORT_FOLDER

if TYPE_CHECKING:
    from production_server.model.card import Card
    from production_server.model.registry import Registry

log = logging.getLogger(__name__)

FOLDER = ".compiled"
# What these modules do with a model is in its machine code.
SOURCES = tuple(Path(__file__).with_name(name) for name in ("compiler.py", "predictor.py"))
# The compiler's exit code if the disk does not take the machine code.
CANNOT_WRITE = 3
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
    """Load a version, compiling it first if necessary. Backends other than jax use Keras."""
    if kerasfiles.backend() != "jax":
        return Predictor.load(registry, version)
    card = registry.card(version)
    registry.checked_model_path(version)
    folder = private_folder(registry.path / FOLDER)
    try:
        if folder is not None:
            return Predictor(card, _load_forward(registry, card, folder))
        with tempfile.TemporaryDirectory() as scratch:
            return Predictor(card, _load_forward(registry, card, Path(scratch)))
    except OSError as error:
        log.warning("cannot store the machine code of %s: %s", version, error)
        return Predictor.load(registry, version)


def private_folder(path: Path) -> Path | None:
    """Create the folder; None unless only this account can write to it, since its code is run."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError:
        return None
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others
    return path if private else None


def file_name(card: Card) -> str:
    """The version and a hash of everything that its machine code depends on."""
    libraries = [library_version(name) for name in ("jax", "jaxlib", "keras")]
    traits = [
        card.model_sha256,
        len(card.features),
        card.width,
        BATCH_SIZES,
        libraries,
        sys.version,
        [hashlib.sha256(source.read_bytes()).hexdigest() for source in SOURCES],
        _processor(),
    ]
    return f"{card.version}.{hashlib.sha256(repr(traits).encode()).hexdigest()[:32]}"


def _processor() -> str:
    """The processor's features: a server's image can boot on another processor."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return f"{platform.platform()} {platform.node()}"
    return "\n".join(line for line in first.splitlines() if line.split("\t")[0] in CPU_TRAITS)


def _load_forward(registry: Registry, card: Card, folder: Path) -> Forward:
    file = folder / file_name(card)
    code = read_sealed(file)
    if code is None:
        _run_compiler(registry, card, file)
        code = read_sealed(file)
    if code is None:
        raise OSError(f"{file} is damaged right after it was written")
    return _forward(code)


def _run_compiler(registry: Registry, card: Card, file: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "production_server.model.compiler",
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
        kerasfiles.jax_module()  # import jax meanwhile
        output, errors = compiler.communicate()
    if compiler.returncode == CANNOT_WRITE:
        raise OSError(errors.strip())
    if compiler.returncode != 0:
        raise _compiler_error(card, compiler.returncode, output, errors)


def _compiler_error(card: Card, code: int, output: str, errors: str) -> ModelError:
    """The compiler's own error, or else the last line of its stderr."""
    if output:
        return ModelError(*json.loads(output))
    last = (errors.strip().splitlines() or ["no output"])[-1]
    return ModelError(
        f"cannot compile {card.version} (exit code {code}): {last}",
        "A negative exit code is the signal that killed the compiler. "
        "-9 usually means that memory ran out.",
    )


def _forward(code: bytes) -> Forward:
    kerasfiles.jax_module()
    from jax.experimental.serialize_executable import deserialize_and_load

    # Safe to unpickle: only this account can write to the folder.
    by_count = {count: deserialize_and_load(*part) for count, part in pickle.loads(code).items()}
    return lambda rows: np.asarray(by_count[len(rows)](rows))
