"""The project's virtual environment: created on first use, updated when a lock file changes.

Uses only the standard library, so that it runs on a machine that has nothing but Python.
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
    """Return the interpreter of `venv`, after installing `requirements` if they changed."""
    if sys.version_info < (3, 11):  # noqa: UP036 - for users of an older Python
        raise SystemExit(
            f"Stackserve needs Python 3.11 or newer; this is {sys.version.split()[0]}. Install a "
            "newer Python (Debian 12: python3, Ubuntu 22.04: python3.11) and run this with it."
        )
    python = venv / "bin" / "python"
    stamp = venv / f".installed-{requirements.parent.name}"
    fingerprint = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == fingerprint:
        return python
    started = time.monotonic()
    say(f"Setting up {venv.name} from {requirements.relative_to(ROOT)} ...")
    uv = ensure_uv(venv)
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
    stamp.write_text(fingerprint)
    say(f"Environment ready in {time.monotonic() - started:.0f} s.")
    return python


def ensure_uv(venv: Path) -> Path:
    """Return the uv of `venv`, after creating the environment and installing uv if missing."""
    python, uv = venv / "bin" / "python", venv / "bin" / "uv"
    if not python.exists():
        try:
            _run([sys.executable, "-m", "venv", str(venv)])
        except SystemExit:
            say("Python has no venv module. On Debian or Ubuntu: apt-get install python3-venv")
            raise
    if not uv.exists():
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV])
    return uv


def uv_environment(venv: Path) -> dict[str, str]:
    """The environment for uv, with the package index from pip's configuration."""
    environment = dict(os.environ)
    if "UV_DEFAULT_INDEX" not in environment and "UV_INDEX_URL" not in environment:
        configured = subprocess.run(
            [str(venv / "bin" / "python"), "-m", "pip", "config", "get", "global.index-url"],
            capture_output=True,
            text=True,
            check=False,
        )
        if configured.returncode == 0 and configured.stdout.strip():
            environment["UV_DEFAULT_INDEX"] = configured.stdout.strip()
    return environment


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode != 0:
        line = " ".join(command)
        raise SystemExit(
            f"Setting up the environment failed: exit code {done.returncode} from {line}"
        )
