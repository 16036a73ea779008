"""list: every deployment in the project."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.options import LOOKING, cloud_flags, settings_flags
from openstack_client.cli.session import edge, open_desk
from openstack_client.cli.tables import table_of
from openstack_client.cloud import queries
from openstack_client.watch.status import deployments

COLUMNS = ["name", "status", "address", "flavor", "created", "code"]


@click.command(name="list")
@settings_flags(name for name in LOOKING if name != "name")
@cloud_flags
@edge
def list_(**flags: Any) -> None:
    """Show all deployments in the project."""
    desk = open_desk(flags)
    identity = desk.login()
    rows = deployments(
        queries.servers(desk.cloud),
        queries.groups(desk.cloud),
        queries.ports(desk.cloud),
        queries.addresses(desk.cloud),
    )
    if desk.as_json:
        desk.answer(rows)
    elif rows:
        desk.console.print(table_of(rows, COLUMNS))
    else:
        desk.say(f"Project {identity.project!r} has no deployment.")
