"""predict: predictions for values or a CSV file in this process, without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import click
import numpy as np

from production_server.cli.registries import (
    chosen,
    json_option,
    model_option,
    open_registry,
    registry_option,
)
from production_server.errors import DataError, RowsRefused
from production_server.figures import write

if TYPE_CHECKING:
    from production_server.model.card import Card
    from production_server.model.predictor import Predictor

# Negative numbers are values here, not options.
_SETTINGS = {"ignore_unknown_options": True}


@click.command(context_settings=_SETTINGS)
@click.argument("values", nargs=-1, metavar="[VALUE|NAME=VALUE]...", type=click.UNPROCESSED)
@click.option("--csv", "source", type=click.File("rb"), help="CSV file with a header; - is stdin.")
@click.option("--output", type=click.File("w"), default="-", help="Output file for --csv.")
@model_option
@registry_option
@json_option
def predict(
    *,
    values: tuple[str, ...],
    source: BinaryIO | None,
    output: IO[str],
    version: str | None,
    registry_path: Path | None,
    as_json: bool,
) -> None:
    """Predict for one row of values, or for each row of a CSV file.

    Give values in the order of the model's features, or by name: glucose=148 bmi=33.6 ...
    Use 0 for a missing measurement.
    """
    if bool(values) == bool(source):
        raise click.UsageError("Give either values or --csv FILE.")
    from production_server.model.predictor import Predictor

    registry = open_registry(registry_path)
    card = registry.card(chosen(registry, version))
    if source is None:
        _one(card, named(card, values), Predictor.load(registry, card.version), as_json)
    elif as_json:
        raise click.UsageError("--csv writes CSV. For JSON, use: stream")
    else:
        _many(card, source, Predictor.load(registry, card.version), output)


def named(card: Card, values: tuple[str, ...]) -> dict[str, str]:
    """The values on the command line, by feature."""
    if all("=" in value for value in values):
        return {name: value for name, _, value in (v.partition("=") for v in values)}
    if len(values) != len(card.features):
        raise DataError(
            f"{card.version} takes {len(card.features)} values, got {len(values)}",
            f"Give them in this order: {' '.join(card.feature_names)}",
        )
    return dict(zip(card.feature_names, values, strict=True))


def _one(card: Card, given: dict[str, str], predictor: Predictor, as_json: bool) -> None:
    from production_server.web.answers import answer
    from production_server.web.problems import Problem
    from production_server.web.rows import RowSchema

    try:
        rows = RowSchema(card, 1).from_texts(given)
    except Problem as problem:
        raise DataError(problem.detail, problem.remedy) from problem
    values = np.frombuffer(rows.packed, "<f4").reshape(rows.count, -1)
    outputs = predictor.predict(values).tolist()
    told = answer(card, outputs, rows.warnings)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    prediction = told["predictions"][0]
    for warning in prediction["warnings"]:
        click.echo(f"warning: {warning['detail']}", err=True)
    output = card.output
    click.echo(write(output.lines()[output.choose(outputs[0])], prediction))
    click.echo(f"by {card.version}", err=True)


def _many(card: Card, source: BinaryIO, predictor: Predictor, output: IO[str]) -> None:
    """Write the columns of a job's result. One bad row refuses the whole table."""
    from production_server.batch_sizes import LARGEST_BATCH
    from production_server.jobs.intake import Body, Limits, chunks
    from production_server.jobs.ledger import Ledger
    from production_server.jobs.results import csv_header, csv_line, csv_lines

    ledger = Ledger("line", card)
    limits = Limits(rows=sys.maxsize, body=sys.maxsize, chunk_rows=LARGEST_BATCH)
    number = 0
    try:
        parts = chunks(Body(source, limits.body), "csv", card, limits, ledger, ignore_unknown=True)
        for part in parts:
            if not number:
                output.write(csv_line(csv_header(card.output)) + "\n")
            output.writelines(csv_lines(card.output, predictor.predict(part), number, end="\n"))
            number += len(part)
    except RowsRefused as refused:
        told = "\n".join(f"  line {error['line']}: {error['detail']}" for error in refused.errors)
        raise DataError(f"{refused}\n{told}", "Correct the file and try again.") from refused
    for warning in ledger.warnings():
        click.echo(f"warning: {warning['detail']}", err=True)
