"""The stages of a deploy and of a bake, in order."""

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
