"""The Python packages of a release: those that are installed, or if its lock differs, its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from production_server.errors import UpdateError

# The step of the installation that installs the locked packages.
INSTALL = Path("/opt/stackserve/contextualize/dependencies.sh")
LOCK = "requirements.txt"
OIDC_LOCK = "requirements.oidc.txt"
STAMP = "stackserve-lock"
PARENT = "venvs"
LINK = "venv"


def stamp_of(code: Path, *, oidc: bool) -> str:
    """What the installation writes into a folder with exactly these packages."""
    names = [LOCK, OIDC_LOCK] if oidc else [LOCK]
    return " ".join(f"{hashlib.sha256((code / one).read_bytes()).hexdigest()}  -" for one in names)


def provide(root: Path, release: Path, settings: Mapping[str, str], install: Path = INSTALL) -> str:
    """Give a release its packages. Return what was done."""
    code = release / "production_server"
    stamp = stamp_of(code, oidc=settings.get("OIDC") == "yes")
    for there in [root / LINK, *sorted((root / PARENT).glob("*"))]:
        if _stamp(there) == stamp:
            _link(release, there)
            return "its packages are installed already"
    venv = root / PARENT / hashlib.sha256(stamp.encode()).hexdigest()[:16]
    venv.parent.mkdir(exist_ok=True)
    environment = {**os.environ, **settings, "CODE": str(code), "VENV": str(venv)}
    done = subprocess.run([install], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise UpdateError(
            f"its packages cannot be installed: {said[-1] if said else 'no reason given'}",
            "Check that the server reaches the package index, and try again.",
        )
    os.sync()
    (venv / f"{STAMP}.new").replace(venv / STAMP)
    _link(release, venv)
    return "its packages were installed"


def _stamp(venv: Path) -> str:
    file = venv / STAMP
    return file.read_text().strip() if file.exists() else ""


def _link(release: Path, venv: Path) -> None:
    link = release / LINK
    link.unlink(missing_ok=True)
    link.symlink_to(venv)
