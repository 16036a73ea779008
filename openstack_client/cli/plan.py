"""plan: run every check and show what deploy would do, without creating anything."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.silent import silent_workers
from openstack_client.cli.tables import plan_json
from openstack_client.deploy.delete import find
from openstack_client.errors import PreflightError
from openstack_client.plan.make import refuse
from openstack_client.plan.model import Action, Plan


@click.command()
@name_argument
@settings_flags()
@cloud_flags
@click.option("--recreate", is_flag=True, help="Plan as if all servers were recreated.")
@report_errors
def plan(recreate: bool, **flags: Any) -> None:
    """Show what deploy would create or change. Exits with 4 if it would fail."""
    session = open_session(flags)
    identity = session.login()
    planned, _ = session.plan(identity, recreate=recreate)
    planned.warnings += _silent(session, planned)
    if session.as_json:
        session.answer(plan_json(planned, session.source.description))
        if planned.problems:
            raise SystemExit(PreflightError.exit_code)
        return
    session.show(identity, planned)
    refuse(planned.problems)


def _silent(session: Session, planned: Plan) -> list[str]:
    """What `deploy` would not notice: it does not ask the server who is connected."""
    kept = [member.part for member in planned.workers if member.action is Action.FOUND]
    found = silent_workers(session, find(session.cloud, session.name), wait=False) if kept else {}
    return [
        f"{part}: {why}; `scale` replaces it if that does not change"
        for part, why in found.items()
        if part in kept
    ]
