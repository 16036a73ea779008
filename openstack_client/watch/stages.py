"""The stages of the verbs that take long, in order."""

from __future__ import annotations

# Reported by Nova and Neutron.
CREATE = ("requested", "building", "active", "addressed")
# Printed to the console by the steps in cloud-init/files; some run in parallel.
INSTALL = ("booting", "packages", "dependencies", "code")
SERVE = ("rabbitmq", "model", "ready")
CLEAN = "clean"
PREPARE = ("model", CLEAN)

DEPLOY = (*CREATE, *INSTALL, *SERVE)
BAKE = (*CREATE, *INSTALL, *PREPARE, "stopped", "image")
BACKUP = ("saved", "received", "checked")
# The middle ones are printed by the script in deploy/transfer.py.
RESTORE = ("checked", "sent", "verified", "stopped", "restored", "ready")
