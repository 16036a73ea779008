"""train: trains a model on a table and adds it to the registry if it is good enough."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from production_server.cli.registries import open_registry, registry_option, score_lines
from production_server.places import COMMAND


@click.command()
@click.option("--data", required=True, metavar="PATH_OR_URL", help="CSV with known outcomes.")
@click.option("--sha256", default="", metavar="HASH", help="Refuse data with another SHA-256 hash.")
@click.option(
    "--features",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Features file of the data.  [default: that of the Pima data]",
)
@click.option("--search", is_flag=True, help="Try a small grid of networks and keep the best.")
@click.option(
    "--folds",
    default=5,
    show_default=True,
    type=click.IntRange(2, 20),
    help="Folds of the cross-validation.",
)
@click.option("--seed", default=7, show_default=True, type=int, help="Seed of all random numbers.")
@click.option(
    "--min-auc",
    default=0.75,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Refuse a model with a lower held-out ROC AUC.",
)
@click.option("--force", is_flag=True, help="Keep the model even if it is worse.")
@click.option("--activate", is_flag=True, help="Serve the model from now on.")
@registry_option
def train(
    *,
    data: str,
    sha256: str,
    features: Path | None,
    search: bool,
    folds: int,
    seed: int,
    min_auc: float,
    force: bool,
    activate: bool,
    registry_path: Path | None,
) -> None:
    """Train a binary classifier and keep it in the registry.

    The same data and seed give the same model. Without --force, a model is refused if its ROC AUC
    is below --min-auc, or if it is clearly worse than the active version of the same name on the
    same held-out rows.
    """
    from production_server.model import importing, training
    from production_server.model.dataset import read_table
    from production_server.model.description import DIABETES, read_description

    card = read_description(features or DIABETES).card()
    table = read_table(data, card, sha256)
    registry = open_registry(registry_path)
    trained = training.train(
        table, card, seed=seed, fold_count=folds, search=search, say=click.echo
    )
    if not force:
        training.refuse_worse(
            trained.held_out_auc,
            floor=min_auc,
            active=training.rival_auc(registry, trained, table),
        )
    with tempfile.TemporaryDirectory() as folder:
        kept = importing.add_model(
            registry, trained.model, trained.card, scratch=Path(folder), activate=activate
        )
    assert kept.metrics is not None  # training measured them
    click.echo("\n".join(score_lines(kept, kept.metrics)))
    click.echo(f"added {kept.version} to {registry.path}")
    if not activate:
        click.echo(f"to serve it: {COMMAND} models activate {kept.version}")
