"""The paths of the templates and the server's code, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# Both packages are in this folder: the checkout or site-packages.
IMPORT_FOLDER = PACKAGE.parent
# Only a checkout has the scripts next to the packages.
CHECKOUT = IMPORT_FOLDER if (IMPORT_FOLDER / "scripts" / "run").is_file() else None
# How the user calls the two command lines.
COMMAND = "python3 -m openstack_client" if CHECKOUT else "stackserve"
SERVER_COMMAND = "python3 -m production_server" if CHECKOUT else "stackserve server"

# A wheel carries the templates inside the package.
TEMPLATES = (CHECKOUT or PACKAGE) / "cloud-init"
# Used to start RabbitMQ, on this machine and on a server.
QUICK_START = IMPORT_FOLDER / "production_server" / "local" / "quick_start.erl"
