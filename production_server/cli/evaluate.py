"""evaluate: measures a version on a table with known outcomes."""

from __future__ import annotations

from pathlib import Path

import click

from production_server.cli.registries import (
    chosen,
    json_option,
    model_option,
    open_registry,
    registry_option,
    score_lines,
)


@click.command()
@click.option("--data", required=True, metavar="PATH_OR_URL", help="CSV with known outcomes.")
@click.option("--sha256", default="", metavar="HASH", help="Refuse data with another SHA-256 hash.")
@model_option
@registry_option
@json_option
def evaluate(
    data: str, sha256: str, version: str | None, registry_path: Path | None, as_json: bool
) -> None:
    """Measure a version on all rows of a table.

    Scores on rows that the model was trained on are too good. The version's card has its scores on
    held-out rows.
    """
    from production_server.model.dataset import read_table
    from production_server.model.importing import measured
    from production_server.model.predictor import Predictor

    registry = open_registry(registry_path)
    card = registry.card(chosen(registry, version))
    table = read_table(data, card, sha256)
    metrics = measured(card, Predictor.load(registry, card.version), table)
    if as_json:
        click.echo(metrics.model_dump_json(indent=1))
    else:
        click.echo("\n".join(score_lines(card, metrics)))
    if table.sha256 == card.data_sha256:
        click.echo("note: the model was trained on rows of this table", err=True)
