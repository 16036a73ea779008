"""tokens: creates, lists and revokes the tokens of this service."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

import click

from production_server.access.policy import MEANINGS, Scope
from production_server.access.tokens import Token, Tokens
from production_server.cli.registries import json_option
from production_server.settings import load_settings

PERIOD = re.compile(r"([1-9]\d{0,4})([hd])")
UNITS = {"h": "hours", "d": "days"}
SCOPES = ", ".join(f"{scope.value} ({meaning})" for scope, meaning in MEANINGS.items())


class Period(click.ParamType[timedelta | None]):
    """How long a token is valid: 12h, 90d or never."""

    name = "period"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | None:
        if value == "never":
            return None
        found = PERIOD.fullmatch(value)
        if not found:
            self.fail(f"{value!r} is not a period; write 12h, 90d or never.", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


@click.group()
def tokens() -> None:
    """Create, list and revoke tokens."""


@tokens.command(help=f"Create a token and print it, this once. The scopes: {SCOPES}.")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    default=(Scope.PREDICT.value, Scope.JOBS.value),
    help="What it allows; repeat it for several.  [default: predict and jobs]",
)
@click.option(
    "--expires",
    type=Period(),
    default="90d",
    show_default=True,
    help="How long it is valid: 12h, 90d or never.",
)
@json_option
def create(name: str, scopes: tuple[str, ...], expires: timedelta | None, as_json: bool) -> None:
    """Create a token and print it."""
    chosen = frozenset(map(Scope, scopes))
    until = datetime.now().astimezone() + expires if expires else None
    plain = _tokens().create(name, chosen, until)
    if as_json:
        click.echo(json.dumps({"name": name, "token": plain, "expires": _written(until)}))
        return
    click.echo(plain)
    valid = f"until {until:%Y-%m-%d %H:%M}" if until else "until it is revoked"
    click.echo(f"It is valid {valid}, and is not shown again.", err=True)


@tokens.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List all tokens, without their secrets."""
    known = sorted(_tokens().all(), key=lambda token: token.name)
    if as_json:
        click.echo(json.dumps([_row(token) for token in known], indent=2))
        return
    for token in known:
        click.echo(f"{token.name:<24} {_state(token):<28} {', '.join(sorted(token.scopes))}")
    if not known:
        click.echo("There are no tokens yet. Create one: tokens create NAME", err=True)


@tokens.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a token. It stops working at once."""
    _tokens().revoke(name)
    click.echo(f"Token {name!r} was revoked.")


def _tokens() -> Tokens:
    return Tokens(load_settings().access_folder)


def _state(token: Token) -> str:
    if token.expires is None:
        return "never expires"
    ends = "expires" if token.valid(datetime.now().astimezone()) else "expired"
    return f"{ends} {token.expires:%Y-%m-%d %H:%M}"


def _row(token: Token) -> dict[str, object]:
    return {
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created": _written(token.created),
        "expires": _written(token.expires),
    }


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
