"""reap: delete every expired deployment in the project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from openstack_client import lifetime
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.tables import table_of
from openstack_client.deploy.delete import delete_files, local_files
from openstack_client.deploy.reap import Reaped, find_due
from openstack_client.deploy.reap import reap as delete_all
from openstack_client.errors import CloudError
from openstack_client.plan import expiry
from openstack_client.plan.inventory import Inventory, keypair_of_another


@click.command()
@settings_flags(name for name in CLIENT_SETTINGS if name != "name")
@cloud_flags
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@report_errors
def reap(yes: bool, dry_run: bool, **flags: Any) -> None:
    """Delete every expired deployment in the project. For cron: reap --yes.

    Deployments without a time to live, or with time left, are never touched.
    """
    session = open_session(flags)
    identity = session.login()
    due, busy = find_due(session.cloud)
    if not session.as_json:
        _show(session, due, busy)
    if due and not dry_run:
        session.confirm("Delete all of them?", yes)
    left = [note for mine in due if (note := keypair_of_another(mine, identity))]
    done = Reaped() if dry_run else delete_all(session.cloud, due, _note(session))
    for name in done.deleted:
        delete_files(local_files(session.folder, name))
    if session.as_json:
        session.answer(
            {
                "expired": [mine.name for mine in due],
                "busy": [mine.name for mine in busy],
                "deleted": done.deleted,
                "notes": left + done.notes,
                "problems": [problem.as_json() for problem in done.problems],
            }
        )
        if done.problems:
            raise SystemExit(CloudError.exit_code)
        return
    for note in left + done.notes:
        session.say(note, "yellow")
    if done.problems:
        raise CloudError(
            "Could not delete all expired deployments.",
            "Run `reap` again; it skips what is already deleted.",
            problems=done.problems,
        )


def _show(session: Session, due: list[Inventory], busy: list[Inventory]) -> None:
    now = lifetime.now()
    rows = [{"name": mine.name, "lifetime": expiry.described(mine, now)} for mine in due]
    if rows:
        session.console.print(table_of(rows, ["name", "lifetime"]))
    else:
        session.say("No deployment to delete: none has expired.")
    for mine in busy:
        session.say(f"{mine.name!r} has expired, but a deploy of it is running.", "yellow")


def _note(session: Session) -> Callable[[str], None]:
    return (lambda text: None) if session.as_json else session.say
