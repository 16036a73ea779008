"""What the verbs for models share: their options, the registry and the display of scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from production_server.model.card import Card
from production_server.model.metrics import Metrics
from production_server.model.registry import Registry
from production_server.settings import load_settings

registry_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--registry",
    "registry_path",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the registry.  [default: STACKSERVE_REGISTRY, or models in STACKSERVE_HOME]",
)
model_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--model", "version", metavar="VERSION", help="Version to use.  [default: the active one]"
)
json_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON."
)


def open_registry(path: Path | None) -> Registry:
    """Open the registry. An empty one gets the shipped versions first."""
    registry = Registry(path or load_settings().registry_path)
    registry.seed()
    return registry


def chosen(registry: Registry, version: str | None) -> str:
    return version or registry.active()


def score_lines(card: Card, metrics: Metrics) -> list[str]:
    """The metrics as text, one per line."""
    held_out = "held-out " if metrics.rows_train else ""
    lines = [f"{card.version}: {card.target}, measured on {metrics.rows_test} {held_out}rows"]
    named = (
        ("accuracy", metrics.accuracy),
        ("ROC AUC", metrics.roc_auc),
        ("Brier score", metrics.brier),
        ("log loss", metrics.log_loss),
        ("mean absolute error", metrics.mae),
        ("root mean square error", metrics.rmse),
        ("R2", metrics.r2),
    )
    lines += [f"  {name:<22} {value:.4f}" for name, value in named if value is not None]
    if metrics.cross_validation is not None:
        validation = metrics.cross_validation
        lines += [
            f"  {validation.folds}-fold ROC AUC         {validation.auc:.4f}",
            f"  logistic regression    {validation.baseline_auc:.4f} (the same folds)",
        ]
    if metrics.confusion:
        width = max(len(name) for name in card.classes)
        lines.append("  truth by prediction (" + ", ".join(card.classes) + "):")
        lines += [
            f"    {name:<{width}} " + " ".join(f"{count:>7}" for count in row)
            for name, row in zip(card.classes, metrics.confusion, strict=True)
        ]
    return lines
