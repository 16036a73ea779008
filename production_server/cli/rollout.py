"""models canary, shadow, promote, rollback: a new version beside the active one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from production_server.cli.activation import follow
from production_server.cli.registries import json_option, open_registry, registry_option
from production_server.model import rollout as trials
from production_server.model.registry import Registry
from production_server.model.rollout import Candidate, Mode
from production_server.places import COMMAND
from production_server.settings import load_settings

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Share(click.ParamType[float]):
    """10% or 0.1."""

    name = "SHARE"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 < share <= 1:
            self.fail(f"{value} is not a share. Use one such as 10%, more than 0% and up to 100%.")
        return share


class Duration(click.ParamType[float]):
    """30m, 2h, 90s or 1d."""

    name = "TIME"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([smhd])", str(value).strip())
        if found is None or not float(found[1]):
            self.fail(f"{value} is not a time. Use one such as 90s, 30m, 2h or 1d.")
        return float(found[1]) * UNITS[found[2]]


promote_after_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--promote-after", type=Duration(), help="Promote it after this time, such as 30m."
)
if_healthy_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--if-healthy",
    is_flag=True,
    help="Promote it only if it does as well as the active version, and withdraw it if not.",
)


@click.command()
@click.argument("version")
@click.option("--share", type=Share(), required=True, help="Part of the clients, such as 10%.")
@promote_after_option
@if_healthy_option
@registry_option
@json_option
def canary(*, version: str, share: float, **options: Any) -> None:
    """Let VERSION answer a share of the clients, and the active version the others."""
    _start(version, Mode.CANARY, share, **options)


@click.command()
@click.argument("version")
@click.option(
    "--share", type=Share(), default="100%", show_default=True, help="Part of the requests."
)
@promote_after_option
@if_healthy_option
@registry_option
@json_option
def shadow(*, version: str, share: float, **options: Any) -> None:
    """Send VERSION a copy of the requests, and discard its answers."""
    _start(version, Mode.SHADOW, share, **options)


@click.command()
@registry_option
@json_option
def promote(*, registry_path: Path | None, as_json: bool) -> None:
    """Make the version on trial the active one."""
    registry = open_registry(registry_path)
    version = trials.promote(registry, "by an operator")
    _say(registry, as_json, f"{version} is active")
    _follow(registry, version, as_json)


@click.command()
@registry_option
@json_option
def rollback(*, registry_path: Path | None, as_json: bool) -> None:
    """Withdraw the version on trial. Without one, go back to the version that was active before."""
    registry = open_registry(registry_path)
    trial = trials.candidate(registry)
    active = trials.rollback(registry, "by an operator")
    ended = f"{trial.version} is withdrawn; " if trial else ""
    _say(registry, as_json, f"{ended}{active} is active")
    if trial is None:
        _follow(registry, active, as_json)


COMMANDS = (canary, shadow, promote, rollback)


def _start(
    version: str,
    mode: Mode,
    share: float,
    *,
    promote_after: float | None,
    if_healthy: bool,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    registry = open_registry(registry_path)
    trial = Candidate(
        version=version,
        mode=mode,
        share=share,
        promote_after=promote_after,
        if_healthy=if_healthy,
    )
    trials.start(registry, trial)
    whose = "clients" if mode is Mode.CANARY else "requests"
    _say(registry, as_json, f"{version} is a {mode} for {100 * share:.4g}% of the {whose}")
    _follow(registry, version, as_json)
    if not as_json:
        click.echo(f"to serve it to all: {COMMAND} models promote")
        click.echo(f"to end this: {COMMAND} models rollback")


def _say(registry: Registry, as_json: bool, words: str) -> None:
    if not as_json:
        click.echo(words)
        return
    trial = trials.candidate(registry)
    told = {
        "active": registry.active(),
        "previous": trials.previous(registry),
        "candidate": trial.model_dump(mode="json") if trial else None,
    }
    click.echo(json.dumps(told, indent=2))


def _follow(registry: Registry, version: str, as_json: bool) -> None:
    """Say which workers have the version, beside the JSON if there is some."""
    settings = load_settings()
    if registry.path.resolve() == settings.registry_path.resolve():
        follow(settings, version, lambda line: click.echo(line, err=as_json))
