"""Where Python finds this package: in a checkout, in an installed wheel or on a server."""

from __future__ import annotations

from pathlib import Path

# A checkout, site-packages or, on a server, its app folder: `python -m production_server`
# finds the package when it runs here.
IMPORT_FOLDER = Path(__file__).resolve().parent.parent
# Only a checkout has the scripts beside the package.
CHECKOUT = IMPORT_FOLDER if (IMPORT_FOLDER / "scripts" / "run").is_file() else None
# A wheel has the launcher beside this package, and with it `stackserve`.
INSTALLED = CHECKOUT is None and (IMPORT_FOLDER / "openstack_client").is_dir()
# What to type for this command line.
COMMAND = "stackserve server" if INSTALLED else "python3 -m production_server"
