"""logs: show the server's console log, or a unit's journal over ssh."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.ssh import server_by_ssh
from openstack_client.errors import NoDeployment, SettingsError
from openstack_client.plan.inventory import Inventory, watched
from openstack_client.watch.boot import read_console
from openstack_client.watch.status import units_with_logs

PAUSE = 2.0


@click.command()
@name_argument
@settings_flags(SSH_SETTINGS)
@cloud_flags
@click.option(
    "--unit",
    shell_complete=lambda *_: sorted(units_with_logs(watched(None))),
    help="Show this unit's journal, over ssh: " + ", ".join(sorted(units_with_logs(watched(None)))),
)
@click.option("--worker", help="Of this worker VM: its name or number.")
@click.option("--follow", "-f", is_flag=True, help="Keep printing new lines.")
@click.option("--lines", "-n", type=click.IntRange(1), default=200, show_default=True)
@report_errors
def logs(unit: str | None, worker: str | None, follow: bool, lines: int, **flags: Any) -> None:
    """Show the server's console log, or a unit's journal."""
    if follow and flags["as_json"]:
        raise SettingsError("--follow and --json cannot be combined.", "Drop one of them.")
    session = open_session(flags)
    if unit:
        _journal(session, unit, worker, lines, follow)
        return
    session.login()
    mine = _inventory(session)
    server = session.the_server(mine, worker)
    text = read_console(session.cloud, server, lines)
    if session.as_json:
        session.answer({"name": mine.name, "server": server.id, "lines": text.splitlines()})
        return
    click.echo(text)
    while follow:
        time.sleep(PAUSE)
        now = read_console(session.cloud, server, lines)
        fresh = added(text, now)
        if fresh:
            click.echo(fresh, nl=False)
        text = now


def _inventory(session: Session) -> Inventory:
    try:
        return session.inventory()
    except NoDeployment as error:
        if session.name not in units_with_logs(watched(None)):
            raise
        hint = f"To read a unit's journal, run: logs --unit {session.name}."
        raise NoDeployment(error.what, f"{hint} {error.remedy}") from error


def added(before: str, now: str) -> str:
    """The part of `now` that follows `before`, where both are the tail of the same log."""
    if now.startswith(before):
        return now[len(before) :]
    tail = before[-200:]
    place = now.rfind(tail) if tail else -1
    return now[place + len(tail) :] if place >= 0 else now


def _journal(session: Session, unit: str, worker: str | None, lines: int, follow: bool) -> None:
    server, target = server_by_ssh(session, worker)
    units = units_with_logs(watched(server))
    if unit not in units:
        raise SettingsError(
            f"--unit {unit}: the server has no unit of this name.",
            f"Choose one of: {', '.join(sorted(units))}.",
        )
    more = " --follow" if follow else ""
    command = f"sudo journalctl --no-pager --lines={lines} --unit='{units[unit]}'{more}"
    if session.as_json:
        done = target.run(command)
        session.answer({"name": session.name, "unit": unit, "lines": done.stdout.splitlines()})
        return
    arguments = target.command(command)
    sys.stdout.flush()
    os.execvp(arguments[0], arguments)
