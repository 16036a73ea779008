"""The project's own environment: made on first use, renewed when a locked file changes.

Only the standard library, so that it runs on a machine with nothing but Python.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UV = "uv==0.13.8"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ensure(requirements: Path, venv: Path = VENV) -> Path:
    """Give the interpreter of `venv`, with exactly what `requirements` locks or more."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is what tells it to those who have less
        raise SystemExit(
            f"Stackserve needs Python 3.11 or newer; this is {sys.version.split()[0]}. Install a "
            "newer one (Debian 12: python3, Ubuntu 22.04: python3.11) and run it with that."
        )
    python = venv / "bin" / "python"
    stamp = venv / f".installed-{requirements.parent.name}"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    started = time.monotonic()
    say(f"Setting up {venv.name} from {requirements.relative_to(ROOT)} ...")
    uv = _uv(venv)
    _run(
        [
            str(uv),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--require-hashes",
            "-r",
            str(requirements),
        ],
        uv_environment(venv),
    )
    stamp.write_text(wanted)
    say(f"Environment ready in {time.monotonic() - started:.0f} s.")
    return python


def _uv(venv: Path) -> Path:
    python, uv = venv / "bin" / "python", venv / "bin" / "uv"
    if not python.exists():
        try:
            _run([sys.executable, "-m", "venv", str(venv)])
        except SystemExit:
            say("Python's venv module is missing; Debian and Ubuntu: apt-get install python3-venv")
            raise
    if not uv.exists():
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV])
    return uv


def uv_environment(venv: Path) -> dict[str, str]:
    """Let uv use the package index that pip is told to use on this machine."""
    environment = dict(os.environ)
    if "UV_DEFAULT_INDEX" not in environment and "UV_INDEX_URL" not in environment:
        asked = subprocess.run(
            [str(venv / "bin" / "python"), "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0 and asked.stdout.strip():
            environment["UV_DEFAULT_INDEX"] = asked.stdout.strip()
    return environment


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode != 0:
        words = " ".join(command)
        raise SystemExit(f"Setting up the environment failed ({done.returncode}): {words}")
