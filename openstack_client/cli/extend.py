"""extend: give a deployment more time before it expires, or let it never expire."""

from __future__ import annotations

import datetime as dt
from typing import Any

import click

from openstack_client import lifetime
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import CLIENT_SETTINGS, cloud_flags, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.deploy.credential import ends
from openstack_client.deploy.extend import refuse_if_removed, set_expiry
from openstack_client.errors import SettingsError
from openstack_client.plan import expiry
from openstack_client.plan.inventory import Inventory


@click.command()
@click.argument("words", metavar="[NAME] DURATION", nargs=-1)
@settings_flags(CLIENT_SETTINGS)
@cloud_flags
@click.option("--never", is_flag=True, help="Remove the time to live: the deployment stays.")
@report_errors
def extend(words: tuple[str, ...], never: bool, **flags: Any) -> None:
    """Give a deployment more time before it expires: extend [NAME] 4h.

    The duration is added to the time that is left. After expiry, it counts from now.
    """
    name, more = split(words, never)
    session = open_session({**flags, "named": name})
    session.login()
    mine = session.inventory()
    refuse_if_removed(mine)
    session.the_server(mine)
    moment = None if more is None else lifetime.extended(_expires(mine), more, lifetime.now())
    set_expiry(session.cloud, mine, moment)
    _report(session, moment)
    _warn(session, mine, moment)


def split(words: tuple[str, ...], never: bool) -> tuple[str | None, dt.timedelta | None]:
    """The name, if given, and the duration, which comes last. With --never there is none."""
    if len(words) > (1 if never else 2):
        raise SettingsError(f"Too many arguments: {' '.join(words)}.", "Use: extend [NAME] 4h.")
    if never:
        return (words[0] if words else None), None
    if not words:
        raise SettingsError("How much longer?", "Use: extend [NAME] 4h, or extend [NAME] --never.")
    try:
        return (words[0] if len(words) == 2 else None), lifetime.parse(words[-1])
    except ValueError as error:
        raise SettingsError(f"{words[-1]!r} {error}.", "Use: extend [NAME] 4h.") from error


def _expires(mine: Inventory) -> dt.datetime:
    expires = expiry.expires_at(mine)
    if expires is None:
        raise SettingsError(
            f"Deployment {mine.name!r} never expires, so there is nothing to extend.",
            f"`deploy {mine.name} --ttl 8h` gives it a time to live.",
        )
    return expires


def _warn(session: Session, mine: Inventory, moment: dt.datetime | None) -> None:
    """Say so if the server's credential ends before the deployment expires."""
    until = ends(session.cloud, {server.id for server in mine.servers}) if moment else None
    if moment and until and until < moment and not session.as_json:
        session.say(
            f"The server can remove itself until {until:%Y-%m-%d %H:%M} UTC only. "
            f"`deploy {mine.name}` gives it a new credential.",
            "yellow",
        )


def _report(session: Session, moment: dt.datetime | None) -> None:
    now = lifetime.now()
    if session.as_json:
        session.answer(
            {
                "name": session.name,
                "expires": lifetime.written(moment) if moment else None,
                "lifetime": lifetime.described(moment, now),
            }
        )
    elif moment:
        left = lifetime.described(moment, now)
        session.say(f"Deployment {session.name!r} {left} ({moment:%Y-%m-%d %H:%M} UTC).")
    else:
        session.say(f"Deployment {session.name!r} never expires.")
