"""plan: run every check and show what deploy would do, without creating anything."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import open_session
from openstack_client.cli.tables import plan_json
from openstack_client.errors import PreflightError
from openstack_client.plan.make import refuse


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
    if session.as_json:
        session.answer(plan_json(planned, session.source.description))
        if planned.problems:
            raise SystemExit(PreflightError.exit_code)
        return
    session.show(identity, planned)
    refuse(planned.problems)
