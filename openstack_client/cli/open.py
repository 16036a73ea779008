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
from openstack_client.cloud.own_address import addresses_of
from openstack_client.errors import SettingsError
from openstack_client.plan.inventory import watched
from openstack_client.plan.secured import Secured
from openstack_client.roles import Watched
from openstack_client.service import HTTP_PORT, page_url
from openstack_client.watch.tunnel import forward_command, reach

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
    server, via = session.the_server(mine), session.settings.ssh_via
    role, address = watched(server), mine.address_of(server)
    domain = Secured.from_metadata(server.metadata).domain
    url = page_url(role, domain if address in addresses_of(domain) else address)
    if not url:
        raise SettingsError(
            f"Deployment {mine.name!r} has the role {role.role}, which has no page to open.",
            "Log in with `ssh` instead.",
        )
    port = role.port or HTTP_PORT
    if session.as_json:
        # Only root may listen on a port below 1024.
        local = port if port >= 1024 else 8000 + port
        forward = forward_command(via, local, address, port) if via else None
        session.answer({"name": mine.name, "url": url, "forward": forward})
    elif via:
        _forward(session, role, address, via, no_browser)
    else:
        _show(session, url, no_browser)


def _show(session: Session, url: str, no_browser: bool) -> None:
    session.say(url)
    if not no_browser:
        webbrowser.open(url)


def _forward(session: Session, role: Watched, address: str, via: str, no_browser: bool) -> None:
    """Forward a local port until Ctrl-C, also after the connection broke."""
    with reach(address, via, role.port or HTTP_PORT) as way, suppress(KeyboardInterrupt):
        session.say(f"Forwarding to {way.name}. Press Ctrl-C to end.")
        _show(session, page_url(role, way.address, way.port), no_browser)
        while True:
            time.sleep(PAUSE)
            way.keep()
