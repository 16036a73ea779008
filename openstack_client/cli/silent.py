"""Which worker VMs of a deployment do not work any more; for `scale`, `autoscale` and `plan`."""

from __future__ import annotations

from openstack_client.cli.session import Session
from openstack_client.cli.ssh import learn_host_key
from openstack_client.deploy.accounts import TIMEOUT, Accounts
from openstack_client.deploy.silent import Search, running
from openstack_client.errors import LauncherError
from openstack_client.plan.inventory import Inventory

# Seconds. A worker VM that restarts, or that has lost its connection, is back by then.
PATIENCE = 120.0
# For one answer, where it is only a hint.
AT_ONCE = 30.0


def silent_workers(session: Session, mine: Inventory, *, wait: bool = True) -> dict[str, str]:
    """What is wrong with each silent worker VM. None is silent if the front end cannot be asked."""
    front = mine.front
    if front is None or front.status != "ACTIVE" or not running(mine):
        return {}
    note = session.cloud.note
    try:
        target = session.ssh_target(mine, front)
        if not learn_host_key(session, target, front):
            return {}
        search = Search(
            cloud=session.cloud,
            accounts=Accounts(target, timeout=TIMEOUT if wait else AT_ONCE),
            setup=session.settings.timeout_ready,
            note=note,
        )
        return search.find(mine, PATIENCE if wait else 0.0)
    except LauncherError as error:
        note(f"Cannot tell whether all worker VMs are connected: {error.what}")
        return {}
