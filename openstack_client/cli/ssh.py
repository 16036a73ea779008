"""ssh: log in with the right key, user and host key."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from openstack_client.cli.edge import Desk, edge, open_desk
from openstack_client.cli.options import LOOKING, cloud_flags, settings_flags
from openstack_client.errors import ServerError
from openstack_client.ssh import Way
from openstack_client.waiting import read_console, remember_host_keys


@click.command(context_settings={"ignore_unknown_options": True})
@settings_flags(LOOKING)
@cloud_flags
@click.argument("named", metavar="[NAME]", required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@edge
def ssh(command: tuple[str, ...], **flags: Any) -> None:
    """Log in to the server, or run COMMAND there: ssh NAME -- COMMAND.

    The server is known by the host key in its console log; it is never trusted blindly.
    """
    desk = open_desk(flags)
    way = ready_way(desk)
    arguments = way.command(*command)
    if desk.as_json:
        desk.answer({"name": desk.name, "command": arguments})
        return
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)


def ready_way(desk: Desk) -> Way:
    """The way in, its host key fetched from the console log if it is not kept yet."""
    desk.login()
    mine = desk.inventory()
    server = desk.the_server(mine)
    way = desk.way(mine, server)
    known = way.known_hosts
    if known.is_file() and way.address in known.read_text(encoding="utf-8"):
        return way
    if not remember_host_keys(known, way.address, read_console(desk.cloud, server)):
        raise ServerError(
            f"The host key of {way.address} is not in the console log (yet), so the server "
            "cannot be told from an impostor.",
            f"Wait until it has booted; or put its key into {known} yourself.",
        )
    return way
