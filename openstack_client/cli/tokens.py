"""tokens: create, list and revoke the tokens of a deployment's service."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from openstack_client.cli import serve_here
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import SSH_SETTINGS, cloud_flags, settings_flags
from openstack_client.cli.session import find_source, open_session
from openstack_client.cli.ssh import find_service_by_ssh
from openstack_client.deploy import tokens as remote
from openstack_client.errors import SettingsError

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group()
def tokens() -> None:
    """Create, list and revoke tokens for the service of a deployment.

    The service keeps only hashes of its tokens. Without OpenStack credentials, this is about the
    service on this machine.
    """


def _flags(function: Function) -> Function:
    """The flags of all three, and words that may begin with a deployment's name."""
    local = click.option(
        "--local", "here", is_flag=True, help="The service on this machine, even with credentials."
    )
    return settings_flags(SSH_SETTINGS)(cloud_flags(local(report_errors(function))))


@tokens.command()
@click.argument("words", metavar="[NAME] TOKEN", nargs=-1, required=True)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["predict", "jobs", "models", "operate"]),
    multiple=True,
    help="What it allows; repeat it for several.  [default: predict and jobs]",
)
@click.option(
    "--expires", default="90d", show_default=True, help="How long it is valid: 12h, 90d or never."
)
@_flags
def create(words: tuple[str, ...], scopes: tuple[str, ...], expires: str, **flags: Any) -> None:
    """Create a token called TOKEN, and print it, this once."""
    chosen = [word for scope in scopes for word in ("--scope", scope)]
    _run("create", _named(words, flags), "--expires", expires, *chosen, **flags)


@tokens.command("list")
@click.argument("words", metavar="[NAME]", nargs=-1)
@_flags
def list_(words: tuple[str, ...], **flags: Any) -> None:
    """List all tokens: names, scopes and when they expire."""
    _named((*words, ""), flags)
    _run("list", **flags)


@tokens.command()
@click.argument("words", metavar="[NAME] TOKEN", nargs=-1, required=True)
@_flags
def revoke(words: tuple[str, ...], **flags: Any) -> None:
    """Revoke a token. It stops working at once."""
    _run("revoke", _named(words, flags), **flags)


def _named(words: tuple[str, ...], flags: dict[str, Any]) -> str:
    """The token's name; a deployment's NAME before it goes to the settings."""
    if len(words) > 2:
        raise click.UsageError(f"Expected [NAME] TOKEN, not {len(words)} arguments.")
    flags["named"] = words[0] if len(words) == 2 else None
    return words[-1]


def _run(*words: str, here: bool, **flags: Any) -> None:
    named = flags["named"] or flags["name"]
    more = ["--json"] if flags["as_json"] and words[0] != "revoke" else []
    if here or not (named or find_source(flags)):
        if here and named:
            raise SettingsError("A name and --local cannot be combined.", "Drop one of them.")
        if not here:
            what = "No OpenStack credentials found: using the service on this machine."
            click.echo(what, err=True)
        serve_here.become([sys.executable, "-m", "production_server", "tokens", *words, *more])
    session = open_session(flags)
    click.echo(remote.tokens(find_service_by_ssh(session), [*words, *more]), nl=False)
