"""open: open a deployment's page in the browser."""

from __future__ import annotations

import webbrowser
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import open_session
from openstack_client.service import base_url


@click.command(name="open")
@name_argument
@settings_flags(CLIENT_SETTINGS)
@cloud_flags
@click.option("--no-browser", is_flag=True, help="Only print the URL.")
@report_errors
def open_(no_browser: bool, **flags: Any) -> None:
    """Open a deployment in the browser."""
    session = open_session(flags)
    session.login()
    mine = session.inventory()
    url = base_url(mine.address_of(session.the_server(mine))) + "/predictions"
    if session.as_json:
        session.answer({"name": mine.name, "url": url})
        return
    session.say(url)
    if not no_browser:
        webbrowser.open(url)
