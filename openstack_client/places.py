"""Where the templates and the server's code are, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# Python finds both packages here: a checkout or site-packages.
IMPORT_FOLDER = PACKAGE.parent
# Only a checkout has the scripts beside the packages.
CHECKOUT = IMPORT_FOLDER if (IMPORT_FOLDER / "scripts" / "run").is_file() else None
# What to type for this command line.
COMMAND = "python3 -m openstack_client" if CHECKOUT else "stackserve"
SERVER_COMMAND = "python3 -m production_server" if CHECKOUT else "stackserve server"

# A wheel carries the templates inside the package.
TEMPLATES = (CHECKOUT or PACKAGE) / "cloud-init"
# A local node of the service starts by this file, and RabbitMQ on a server as well.
QUICK_START = IMPORT_FOLDER / "production_server" / "local" / "quick_start.erl"
