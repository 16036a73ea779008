"""models: lists, activates, deletes, imports and exports versions of the registry."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click

from production_server.cli import rollout
from production_server.cli.activation import follow
from production_server.cli.receive import receive
from production_server.cli.registries import (
    chosen,
    json_option,
    open_registry,
    registry_option,
    score_lines,
)
from production_server.errors import ModelError, RegistryError, StackserveError, StoreError
from production_server.model.card import Card
from production_server.model.registry import Registry
from production_server.places import COMMAND
from production_server.settings import load_settings

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def models() -> None:
    """List, activate, delete, import and export models."""


for command in (receive, *rollout.COMMANDS):
    models.add_command(command)


@models.command("list")
@registry_option
@json_option
def list_(registry_path: Path | None, as_json: bool) -> None:
    """List all versions and mark the active one."""
    registry = open_registry(registry_path)
    active = active_or_none(registry)
    rows = []
    for version in registry.versions():
        try:
            rows.append(summary(registry.card(version), active))
        except StackserveError as error:
            rows.append({"version": version, "active": version == active, "error": str(error)})
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        mark = "*" if row["active"] else " "
        rest = row.get("error") or (
            f"{row['kind']:<10} {row['inputs']:>3} inputs  {row['score']:<18} "
            f"{row['created']}  {row['target']}"
        )
        click.echo(f"{mark} {row['version']:<20} {rest}")


def summary(card: Card, active: str | None) -> dict[str, object]:
    """A version's row in the list."""
    metrics = card.metrics
    score = ""
    if metrics is not None and metrics.roc_auc is not None:
        score = f"ROC AUC {metrics.roc_auc:.4f}"
    elif metrics is not None and metrics.rmse is not None:
        score = f"RMSE {metrics.rmse:.4g}"
    return {
        "version": card.version,
        "active": card.version == active,
        "kind": card.kind,
        "inputs": len(card.features),
        "target": card.target,
        "score": score,
        "created": card.created,
    }


def active_or_none(registry: Registry) -> str | None:
    try:
        return registry.active()
    except RegistryError:
        return None


@models.command()
@click.argument("version")
@registry_option
def activate(version: str, registry_path: Path | None) -> None:
    """Serve VERSION from now on. A running service switches without dropping a request."""
    registry = open_registry(registry_path)
    registry.activate(version)
    click.echo(f"{version} is active")
    settings = load_settings()
    if registry.path.resolve() == settings.registry_path.resolve():
        follow(settings, version, click.echo)


@models.command()
@click.argument("version")
@click.option("--force", is_flag=True, help="Delete it even if unfinished jobs need it.")
@registry_option
def delete(*, version: str, force: bool, registry_path: Path | None) -> None:
    """Delete VERSION. The active version cannot be deleted, nor one that unfinished jobs need."""
    registry = open_registry(registry_path)
    if not force and version in registry.versions():
        refuse_needed(registry, version)
    registry.delete(version)
    click.echo(f"{version} is deleted")


def refuse_needed(registry: Registry, version: str) -> None:
    """Raise RegistryError if unfinished jobs of this service need the version."""
    from sqlalchemy.exc import SQLAlchemyError

    from production_server.jobs.reader import Reader

    settings = load_settings()
    if registry.path.resolve() != settings.registry_path.resolve() or not settings.store_exists:
        return
    try:
        store = Reader(settings.store)
        try:
            needing = store.unfinished(version)
        finally:
            store.close()
    except (StoreError, SQLAlchemyError) as error:
        raise RegistryError(
            f"cannot check whether unfinished jobs need {version}: {error}",
            f"Start or repair the jobs database, or delete the version without the check: "
            f"{COMMAND} models delete --force {version}",
        ) from error
    if needing:
        count = f"{len(needing)} unfinished {'job needs' if len(needing) == 1 else 'jobs need'}"
        raise RegistryError(
            f"cannot delete {version}, because {count} it: {', '.join(needing[:5])}"
            f"{', ...' if len(needing) > 5 else ''}",
            "Wait for them to finish, or cancel them: DELETE /jobs/ID. To delete the version "
            f"anyway, which makes them fail: {COMMAND} models delete --force {version}",
        )


@models.command()
@click.argument("version", required=False)
@registry_option
@json_option
def show(version: str | None, registry_path: Path | None, as_json: bool) -> None:
    """Show the card of VERSION, by default of the active one."""
    registry = open_registry(registry_path)
    card = registry.card(chosen(registry, version))
    if as_json:
        click.echo(card.model_dump_json(indent=1))
        return
    click.echo(f"{card.version}: {card.target} ({card.kind})")
    for feature in card.features:
        missing = ", 0 = missing" if feature.zero_is_missing else ""
        span = f"{feature.low:g} to {feature.high:g} {feature.unit}".rstrip()
        click.echo(f"  {feature.name:<20} {feature.title}: {span}{missing}")
    if card.metrics is not None:
        click.echo("\n".join(score_lines(card, card.metrics)))


@models.command()
@click.argument("version", required=False)
@click.option("--output", type=_FILE, help="[default: VERSION.tar]")
@registry_option
def export(version: str | None, output: Path | None, registry_path: Path | None) -> None:
    """Write VERSION, by default the active one, to a .tar file for `import`."""
    from production_server.model.archive import export as write

    registry = open_registry(registry_path)
    version = chosen(registry, version)
    target = output or Path(f"{version}.tar")
    write(registry, version, target)
    click.echo(f"{version} is in {target}")


@models.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("weights", type=_FILE, required=False)
@click.option("--features", type=_FILE, help="TOML or JSON file that describes the model.")
@click.option("--data", metavar="PATH_OR_URL", help="CSV to measure the model on, for its card.")
@click.option("--sha256", default="", metavar="HASH", help="Refuse data with another SHA-256 hash.")
@click.option("--activate", is_flag=True, help="Serve the model from now on.")
@registry_option
def import_(
    *,
    source: Path,
    weights: Path | None,
    features: Path | None,
    data: str | None,
    sha256: str,
    activate: bool,
    registry_path: Path | None,
) -> None:
    """Add a model to the registry.

    SOURCE is a .keras file, a legacy .h5 file, or a model.json with its model.h5 as WEIGHTS. These
    need --features. SOURCE can also be an exported .tar or a version folder, which contain their
    description.
    """
    registry = open_registry(registry_path)
    if source.is_dir() or source.suffix.lower() == ".tar":
        if weights or features or data:
            raise click.UsageError(
                "An exported model takes no WEIGHTS, --features or --data: it contains them."
            )
        kept = import_version(registry, source, activate=activate)
    elif features is None:
        raise ModelError(
            f"{source.name} does not describe its inputs",
            "Describe them in a features file and pass --features FILE. "
            "production_server/model/diabetes.toml is an example.",
        )
    else:
        from production_server.model.dataset import read_table
        from production_server.model.description import read_description
        from production_server.model.importing import add_model, read_model

        card = read_description(features).card()
        table = read_table(data, card, sha256) if data else None
        model = read_model(source, weights)
        with tempfile.TemporaryDirectory() as folder:
            kept = add_model(
                registry, model, card, scratch=Path(folder), table=table, activate=activate
            )
    click.echo(f"added {kept.version} to {registry.path}")
    if not activate:
        click.echo(f"to serve it: {COMMAND} models activate {kept.version}")


def import_version(registry: Registry, source: Path, *, activate: bool) -> Card:
    """Add an exported version or a version folder, after checking that it loads."""
    from production_server.model.archive import unpack
    from production_server.model.importing import check_folder

    with tempfile.TemporaryDirectory() as folder:
        unpacked = source if source.is_dir() else unpack(source, Path(folder))
        check_folder(unpacked)
        return registry.add_folder(unpacked, activate=activate)
