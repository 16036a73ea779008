"""Remove worker VMs that are no longer wanted, after they have answered what they hold."""

from __future__ import annotations

from functools import partial

from openstack_client.cloud.together import together
from openstack_client.deploy.accounts import Accounts
from openstack_client.deploy.delete import Deleter
from openstack_client.errors import LauncherError
from openstack_client.plan.model import Plan
from openstack_client.watch.boot import knows_host
from openstack_client.watch.progress import Progress
from openstack_client.watch.ssh import SshTarget


def remove_surplus(
    plan: Plan, front: SshTarget, deleter: Deleter, progress: Progress, *, drain: bool
) -> None:
    """Remove what the plan no longer wants, once all other servers are there."""
    if plan.surplus.empty:
        return
    parts, accounts = plan.surplus.workers, Accounts(front)
    drained = [part for part in parts if drain and _is_active(plan, part)]
    together(partial(_let_go, accounts, progress), drained)
    deleter.delete(plan.surplus)
    # Nothing waits for these accounts any more, and ssh may take long to fail.
    if knows_host(front.known_hosts, front.address):
        together(partial(_forget, accounts, progress), [p for p in parts if p not in drained])


def _is_active(plan: Plan, part: str) -> bool:
    """A worker VM that does not run holds nothing."""
    return any(server.status == "ACTIVE" for server in plan.surplus.part(part).servers)


def _let_go(accounts: Accounts, progress: Progress, part: str) -> None:
    """Drain a worker VM and delete its account."""
    progress.note(f"{part}: waiting until it has answered what it holds ...")
    try:
        accounts.drain(part)
        accounts.remove(part)
    except LauncherError as error:
        raise type(error)(
            f"{part} was not removed, because it may hold tasks: {error.what}",
            f"{error.remedy} To remove it all the same, add --no-drain.",
        ) from error


def _forget(accounts: Accounts, progress: Progress, part: str) -> None:
    """Delete the account of a worker VM that was removed without being asked."""
    try:
        accounts.remove(part)
    except LauncherError as error:
        progress.note(f"{part}: its account stays until its name is used again. {error.what}")
