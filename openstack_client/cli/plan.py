"""plan: what deploy would do, with every check, and nothing made."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.options import cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import edge, open_desk
from openstack_client.cli.tables import plan_json
from openstack_client.deploy.run import refuse
from openstack_client.errors import PreflightError


@click.command()
@name_argument
@settings_flags()
@cloud_flags
@click.option("--recreate", is_flag=True, help="As if the server were made anew.")
@edge
def plan(recreate: bool, **flags: Any) -> None:
    """Say what deploy would make, change or find; exit code 4 if it cannot."""
    desk = open_desk(flags)
    identity = desk.login()
    made, _ = desk.plan(identity, recreate=recreate)
    if desk.as_json:
        desk.answer(plan_json(made, desk.source.words))
        if made.problems:
            raise SystemExit(PreflightError.exit_code)
        return
    desk.show(identity, made)
    refuse(made.problems)
