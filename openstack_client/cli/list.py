"""list: show every deployment in the project."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, settings_flags
from openstack_client.cli.session import open_session
from openstack_client.cli.tables import table_of
from openstack_client.cloud import queries
from openstack_client.watch.status import deployments

COLUMNS = ["name", "status", "address", "flavor", "created", "lifetime", "code"]


@click.command(name="list")
@settings_flags(name for name in CLIENT_SETTINGS if name != "name")
@cloud_flags
@report_errors
def list_(**flags: Any) -> None:
    """List all deployments in the project."""
    session = open_session(flags)
    identity = session.login()
    rows = deployments(
        queries.servers(session.cloud),
        queries.groups(session.cloud),
        queries.ports(session.cloud),
        queries.addresses(session.cloud),
    )
    if session.as_json:
        session.answer(rows)
    elif rows:
        session.console.print(table_of(rows, COLUMNS))
    else:
        session.say(f"Project {identity.project!r} has no deployments.")
