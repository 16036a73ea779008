"""plan: what deploy would do, with every check, and nothing made."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.errors import edge
from openstack_client.cli.options import cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import open_session
from openstack_client.cli.tables import plan_json
from openstack_client.errors import PreflightError
from openstack_client.plan.make import refuse


@click.command()
@name_argument
@settings_flags()
@cloud_flags
@click.option("--recreate", is_flag=True, help="As if the server were made anew.")
@edge
def plan(recreate: bool, **flags: Any) -> None:
    """Say what deploy would make, change or find; exit code 4 if it cannot."""
    session = open_session(flags)
    identity = session.login()
    made, _ = session.plan(identity, recreate=recreate)
    if session.as_json:
        session.answer(plan_json(made, session.source.words))
        if made.problems:
            raise SystemExit(PreflightError.exit_code)
        return
    session.show(identity, made)
    refuse(made.problems)
