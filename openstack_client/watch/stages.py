"""The stages of the verbs that take long, in order."""

from __future__ import annotations

from openstack_client.roles import Role, ours

# Reported by Nova and Neutron.
CREATE = ("requested", "building", "active", "addressed")
# Printed to the console by the steps of the role; some run in parallel.
SERVER = ours("server").stages


def deploy(role: Role) -> tuple[str, ...]:
    """The stages of a deploy of this role."""
    return (*CREATE, *role.stages)


def bake(builder: Role) -> tuple[str, ...]:
    """The stages of a bake by this role."""
    return (*CREATE, *builder.stages, "stopped", "image")


DEPLOY = deploy(ours("server"))
BACKUP = ("saved", "received", "checked")
# The middle ones are printed by the script in deploy/transfer.py.
RESTORE = ("checked", "sent", "verified", "stopped", "restored", "ready")
UPDATE = ("sent", "checked", "live")
PUSH = ("sent", "listed")
PULL = ("received", "checked")
CHANGE = ("sent", "live")
