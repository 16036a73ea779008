"""ssh: log in with the right key, user and host key."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from openstack_client.cli.errors import edge
from openstack_client.cli.options import LOOKING_INSIDE, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError, ServerError
from openstack_client.watch.boot import knows_host, read_console, remember_host_keys
from openstack_client.watch.ssh import Way


class WithCommand(click.Command):
    """A verb where all behind `--` is a command, so that NAME may be left out before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        own, command = args[:place], args[place + 1 :]
        try:
            rest = super().parse_args(ctx, own)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"{error.format_message()} What is for the server goes behind --: "
                "ssh [NAME] -- COMMAND.",
                ctx,
            ) from error
        ctx.params["command"] += tuple(command)
        return rest


@click.command(cls=WithCommand)
@settings_flags(LOOKING_INSIDE)
@cloud_flags
@name_argument
@click.argument("command", nargs=-1)
@edge
def ssh(command: tuple[str, ...], **flags: Any) -> None:
    """Log in to the server, or run a command there: ssh [NAME] -- COMMAND.

    The server is known by the host key in its console log; it is never trusted blindly.
    """
    session = open_session(flags)
    way = ready_way(session)
    arguments = way.command(*command)
    if session.as_json:
        session.answer({"name": session.name, "command": arguments})
        return
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)


def ready_way(session: Session) -> Way:
    """The way in, the server's host key known."""
    session.login()
    mine = session.inventory()
    server = session.the_server(mine)
    if server.status != "ACTIVE":
        raise ServerError(
            f"Server {server.name!r} is {server.status}, so nobody can log in.",
            f"`deploy {mine.name}` starts or finishes it.",
        )
    way = session.way(mine, server)
    if not learn_host_key(session, way, server):
        raise ServerError(
            f"The host key of {way.address} is not in the console log (yet), so the server "
            "cannot be told from an impostor.",
            f"Wait until it has booted; or put its key into {way.known_hosts} yourself.",
        )
    return way


def learn_host_key(session: Session, way: Way, server: Server) -> bool:
    """Whether the server can be told from an impostor.

    By its console, which the cloud vouches for, even if somebody else made the server anew;
    by what was kept of it where the console has forgotten, as consoles do.
    """
    kept = knows_host(way.known_hosts, way.address)
    try:
        text = read_console(session.cloud, server)
    except CloudError:
        if kept:
            return True
        raise
    return remember_host_keys(way.known_hosts, way.address, text) or kept
