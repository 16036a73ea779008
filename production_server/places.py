"""Where this package is: in a checkout, in an installed wheel or on a server."""

from __future__ import annotations

import sys
from pathlib import Path

# The checkout, site-packages, or the app folder of a server. `python -m production_server` works
# in this folder.
IMPORT_FOLDER = Path(__file__).resolve().parent.parent
# Only a checkout has scripts/ beside the package.
CHECKOUT = IMPORT_FOLDER if (IMPORT_FOLDER / "scripts" / "run").is_file() else None
# An installed wheel has the launcher beside the package, so the command `stackserve` exists.
INSTALLED = CHECKOUT is None and (IMPORT_FOLDER / "openstack_client").is_dir()
# How to call this command line, for messages.
COMMAND = "stackserve server" if INSTALLED else "python3 -m production_server"
# On a server, releases live side by side in this folder, and the link `app` beside it leads to one.
RELEASES = "releases"
LIVE = "app"


def live_folder() -> Path:
    """IMPORT_FOLDER of the release that is live; it may be another one than this process runs."""
    if IMPORT_FOLDER.parent.name != RELEASES:
        return IMPORT_FOLDER
    return (IMPORT_FOLDER.parent.parent / LIVE).resolve()


def updated_code() -> str | None:
    """The hash of this code if an update brought it; otherwise the settings have it."""
    try:
        return (IMPORT_FOLDER / "code-hash").read_text().strip()
    except OSError:
        return None


def own_python() -> str | None:
    """The Python with the packages of this release, if this process runs another one."""
    link = IMPORT_FOLDER / "venv"
    if not link.is_symlink():
        return None
    venv = link.resolve()
    if venv == Path(sys.prefix).resolve() or not (venv / "pyvenv.cfg").exists():
        return None
    return str(venv / "bin" / "python")
