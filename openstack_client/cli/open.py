"""open: open a deployment's page in the browser."""

from __future__ import annotations

import time
import webbrowser
from contextlib import suppress
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.service import HTTP_PORT, base_url
from openstack_client.watch.tunnel import forward_command, reach

PAGE = "/predictions"
PAUSE = 1.0


@click.command(name="open")
@name_argument
@settings_flags((*CLIENT_SETTINGS, "ssh_via"))
@cloud_flags
@click.option("--no-browser", is_flag=True, help="Only print the URL.")
@report_errors
def open_(no_browser: bool, **flags: Any) -> None:
    """Open a deployment in the browser.

    With --ssh-via, the command forwards a local port to it until you press Ctrl-C.
    """
    session = open_session(flags)
    session.login()
    mine = session.inventory()
    address, via = mine.address_of(session.the_server(mine)), session.settings.ssh_via
    url = base_url(address) + PAGE
    if session.as_json:
        forward = forward_command(via, HTTP_PORT, address) if via else None
        session.answer({"name": mine.name, "url": url, "forward": forward})
    elif via:
        _forward(session, address, via, no_browser)
    else:
        _show(session, url, no_browser)


def _show(session: Session, url: str, no_browser: bool) -> None:
    session.say(url)
    if not no_browser:
        webbrowser.open(url)


def _forward(session: Session, address: str, via: str, no_browser: bool) -> None:
    """Forward a local port until Ctrl-C, also after the connection broke."""
    with reach(address, via) as way, suppress(KeyboardInterrupt):
        session.say(f"Forwarding to {way.name}. Press Ctrl-C to end.")
        _show(session, base_url(way.address, way.port) + PAGE, no_browser)
        while True:
            time.sleep(PAUSE)
            way.keep()
