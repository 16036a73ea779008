"""ssh: log in with the right key, user and host key."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError, ServerError, SettingsError
from openstack_client.plan.inventory import watched
from openstack_client.roles import Ask
from openstack_client.watch.boot import knows_host, read_console, remember_host_keys
from openstack_client.watch.ssh import ANOTHER_ADDRESS, SSH_PORT, SshTarget, answers


class WithCommand(click.Command):
    """Treats everything after `--` as the remote command, so that NAME is optional."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        own, command = args[:place], args[place + 1 :]
        try:
            rest = super().parse_args(ctx, own)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"{error.format_message()} Put the server's command after --: "
                "ssh [NAME] -- COMMAND.",
                ctx,
            ) from error
        ctx.params["command"] += tuple(command)
        return rest


@click.command(cls=WithCommand)
@settings_flags(SSH_SETTINGS)
@cloud_flags
@name_argument
@click.argument("command", nargs=-1)
@click.option("--worker", help="Connect to this worker VM instead: its name or number.")
@report_errors
def ssh(command: tuple[str, ...], worker: str | None, **flags: Any) -> None:
    """Log in to the server, or run a command there: ssh [NAME] -- COMMAND.

    The host key is checked against the one in the server's console log.
    """
    session = open_session(flags)
    target = server_by_ssh(session, worker)[1]
    arguments = target.command(*command)
    if session.as_json:
        session.answer({"name": session.name, "command": arguments})
        return
    host = target.first_host
    if host and not answers(host):
        click.echo(f"Note: {host} does not answer on port {SSH_PORT}: {ANOTHER_ADDRESS}.", err=True)
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)


def find_service_by_ssh(session: Session) -> SshTarget:
    """How to connect to a server with jobs and models by ssh, with its host key known."""
    server, target = server_by_ssh(session)
    role = watched(server)
    if role.ask is not Ask.PREDICTION:
        raise SettingsError(
            f"Deployment {session.name!r} has the role {role.role}, which has no jobs or models.",
            "Log in with `ssh` to save what it holds.",
        )
    return target


def server_by_ssh(session: Session, worker: str | None = None) -> tuple[Server, SshTarget]:
    """The server or a worker VM, and how to connect to it by ssh, with its host key known."""
    session.login()
    mine = session.inventory()
    server = session.the_server(mine, worker)
    if server.status != "ACTIVE":
        raise ServerError(
            f"Server {server.name!r} is {server.status}, so you cannot log in.",
            f"`deploy {mine.name}` starts or finishes it.",
        )
    target = session.ssh_target(mine, server)
    if target.through and mine.front:
        require_host_key(session, target.through, mine.front)
    require_host_key(session, target, server)
    return server, target


def require_host_key(session: Session, target: SshTarget, server: Server) -> None:
    """Raise ServerError if no host key is known for the server."""
    if not learn_host_key(session, target, server):
        raise ServerError(
            f"The console log does not show the host key of {target.address} yet, so the server's "
            "identity cannot be verified.",
            f"Wait until it has booted, or add its key to {target.known_hosts} yourself.",
        )


def learn_host_key(session: Session, target: SshTarget, server: Server) -> bool:
    """Save the server's host key from its console log; return whether a key is known.

    The console is trusted because the cloud provides it, even after another user recreated the
    server. A key saved earlier is used when the console no longer shows it.
    """
    kept = knows_host(target.known_hosts, target.address)
    try:
        text = read_console(session.cloud, server)
    except CloudError:
        if kept:
            return True
        raise
    return remember_host_keys(target.known_hosts, target.address, text) or kept
