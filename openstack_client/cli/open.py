"""open: the page of a deployment, in the browser."""

from __future__ import annotations

import webbrowser
from typing import Any

import click

from openstack_client.cli.options import LOOKING, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import edge, open_desk
from openstack_client.watch.probe import base_url


@click.command(name="open")
@name_argument
@settings_flags(LOOKING)
@cloud_flags
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@edge
def open_(no_browser: bool, **flags: Any) -> None:
    """Open the page of a deployment."""
    desk = open_desk(flags)
    desk.login()
    mine = desk.inventory()
    url = base_url(mine.address_of(desk.the_server(mine))) + "/predictions"
    if desk.as_json:
        desk.answer({"name": mine.name, "url": url})
        return
    desk.say(url)
    if not no_browser:
        webbrowser.open(url)
