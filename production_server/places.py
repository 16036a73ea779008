"""Where this package is: in a checkout, in an installed wheel or on a server."""

from __future__ import annotations

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
