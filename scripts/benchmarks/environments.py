"""An environment of its own for each peer, in a cache outside of the project."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from environment import VENV, _uv, say, uv_environment

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stackserve-bench"


def ensure(requirements: Path, cache: Path, name: str) -> Path:
    """The environment with exactly what the file pins; made when that changes."""
    venv = cache / "venvs" / name
    stamp = venv / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return venv
    say(f"Installing {name} ...")
    uv, settings = str(_uv(VENV)), uv_environment(VENV)
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
    stamp.write_text(wanted)
    return venv


def installed_mb(venv: Path) -> float:
    """What the environment takes on disk."""
    files = (path for path in venv.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_blocks * 512 for path in files) / 1e6
