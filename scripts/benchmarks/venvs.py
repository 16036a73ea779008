"""One virtual environment for each peer, cached outside the project."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from environment import VENV, ensure_uv, say, uv_environment

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stackserve-bench"


def ensure(requirements: Path, cache: Path, name: str) -> Path:
    """Return the environment with the pinned requirements; recreate it when they change."""
    venv = cache / "venvs" / name
    stamp = venv / ".installed"
    fingerprint = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == fingerprint:
        return venv
    say(f"Installing {name} ...")
    uv, settings = str(ensure_uv(VENV)), uv_environment(VENV)
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", str(VENV / "bin" / "python"), str(venv)],
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            str(venv / "bin" / "python"),
            "--compile-bytecode",
            "-r",
            str(requirements),
        ],
    ):
        subprocess.run(command, env=settings, check=True)
    stamp.write_text(fingerprint)
    return venv


def installed_mb(venv: Path) -> float:
    """The disk space that the environment takes."""
    files = (path for path in venv.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_blocks * 512 for path in files) / 1e6
