"""models receive: takes a new version from a file or standard input, if it passes the gate."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from production_server.cli.activation import follow
from production_server.cli.registries import json_option, open_registry, registry_option
from production_server.errors import GateError
from production_server.model.incoming import is_tar, spool
from production_server.model.registry import Registry
from production_server.places import COMMAND
from production_server.settings import load_settings

_STDIN = Path("-")


@dataclass(frozen=True)
class Use:
    """What is done with a version that passes."""

    only_check: bool
    activate: bool
    canary: float | None
    shadow: bool
    force: bool

    @property
    def state(self) -> str:
        if self.canary is not None:
            return "canary"
        return "shadow" if self.shadow else "active" if self.activate else "added"


@click.command()
@click.argument("source", metavar="[FILE|-]", type=click.Path(path_type=Path), default="-")
@click.option(
    "--features",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Features file of the model.  [default: the one sent along, or the active version's]",
)
@click.option("--check", "only_check", is_flag=True, help="Check it, and change nothing.")
@click.option("--activate", is_flag=True, help="Serve it from now on.")
@click.option(
    "--canary",
    metavar="SHARE",
    callback=lambda _context, _option, text: _share(text),
    help="Let it answer a share of the requests, such as 10%.",
)
@click.option("--shadow", is_flag=True, help="Send it a copy of the requests.")
@click.option("--force", is_flag=True, help="Accept it even if its metrics are worse.")
@registry_option
@json_option
def receive(
    *,
    source: Path,
    features: Path | None,
    only_check: bool,
    activate: bool,
    canary: float | None,
    shadow: bool,
    force: bool,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """Add a new version to the registry if it passes the gate.

    FILE is a version folder, or a .tar of one as `models export` writes it; a .tar or folder with
    model.json, model.h5 and a features file; or a .keras or .h5 file. Without FILE, it comes from
    standard input.

    It is refused if it is damaged, does not match its card, has other features than the active
    version of its name, or is clearly worse. What is active then stays active.
    """
    if sum((only_check, activate, canary is not None, shadow)) > 1:
        raise click.UsageError("Choose one of --check, --activate, --canary and --shadow.")
    use = Use(only_check=only_check, activate=activate, canary=canary, shadow=shadow, force=force)
    registry = open_registry(registry_path)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if not as_json:
            click.echo(line)

    try:
        told = _receive(registry, source, features, use, say)
    except GateError as error:
        if as_json:
            refused = {"code": error.code, "reason": str(error), "remedy": error.remedy}
            click.echo(json.dumps({"accepted": False, **refused}, indent=2, ensure_ascii=False))
        raise GateError(error.code, f"refused: {error}", error.remedy) from error
    if as_json:
        told["lines"] = lines
        click.echo(json.dumps({"accepted": True, **told}, indent=2, ensure_ascii=False))


def _receive(
    registry: Registry,
    source: Path,
    features: Path | None,
    use: Use,
    say: Callable[[str], None],
) -> dict[str, Any]:
    from production_server.model import gate

    with tempfile.TemporaryDirectory(prefix="stackserve-receive-") as folder:
        if source == _STDIN:
            source = Path(folder) / "sent"
            size = spool(sys.stdin.buffer, source)
            say(f"Received {size:,} bytes{' as .tar' if is_tar(source) else ''}.")
        with gate.check(registry, source, features=features, force=use.force) as checked:
            for note in checked.notes:
                say(f"Checked: {note}.")
            told = {"version": checked.version, "state": "checked", "notes": checked.notes}
            if use.only_check:
                say(f"It passes, and would become {checked.version}.")
                return told
            card = gate.add(registry, checked, activate=use.activate)
    say(f"Added {card.version} to {registry.path}.")
    told |= {"version": card.version, "state": use.state}
    if use.shadow or use.canary is not None:
        say(f"{gate.stage(registry, card.version, canary=use.canary)}.")
    elif use.activate:
        say(f"{card.version} is active.")
    else:
        say(f"To serve it: {COMMAND} models activate {card.version}")
        return told
    settings = load_settings()
    if registry.path.resolve() == settings.registry_path.resolve():
        follow(settings, card.version, say)
    return told


def _share(text: str | None) -> float | None:
    """10% or 0.1."""
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise click.BadParameter(f"{text} is not a share. Use one such as 10% or 0.1.")
    return share
