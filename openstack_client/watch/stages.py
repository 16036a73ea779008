"""The stages of the verbs that take long, in order."""

from __future__ import annotations

from openstack_client.roles import Role, ours

# Reported by Nova and Neutron.
CREATE = ("requested", "building", "active", "addressed")
# Printed to the console by the steps of the role; some run in parallel.
SERVER = ours("server").stages
BUILDER = ours("image").stages


def deploy(role: Role) -> tuple[str, ...]:
    """The stages of a deploy of this role."""
    return (*CREATE, *role.stages)


DEPLOY = deploy(ours("server"))
BAKE = (*CREATE, *BUILDER, "stopped", "image")
BACKUP = ("saved", "received", "checked")
# The middle ones are printed by the script in deploy/transfer.py.
RESTORE = ("checked", "sent", "verified", "stopped", "restored", "ready")
