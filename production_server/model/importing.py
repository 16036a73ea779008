"""Importing a model made elsewhere, with a features file that describes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from production_server.errors import ModelError
from production_server.model import cohort, kerasfiles, legacy
from production_server.model.card import CARD_FILE, MODEL_FILE, read_card
from production_server.model.predictor import Predictor
from production_server.model.registry import refuse_changed
from production_server.model.sanity import sanity_of
from production_server.model.training import provenance

if TYPE_CHECKING:
    import keras

    from production_server.model.card import Card
    from production_server.model.dataset import Table
    from production_server.model.metrics import Metrics
    from production_server.model.registry import Registry

_HDF5 = (".h5", ".hdf5")
_PROBED = 64
_TOLERANCE = 1e-5


def read_model(path: Path, weights: Path | None = None) -> keras.Model:
    """A model from .keras, from .h5, or from model.json and model.h5."""
    for given in filter(None, (path, weights)):
        if not given.is_file():
            raise ModelError(
                f"the file {given} does not exist", "Give the path of the model's file."
            )
    suffix = path.suffix.lower()
    if weights is not None and suffix != ".json":
        raise ModelError(
            f"a weights file belongs to a model.json, not to {path.name}",
            "Give model.json first, then model.h5. A .keras or .h5 file needs no weights file.",
        )
    # Keras 2.12 wrote HDF5 whatever the name said.
    if suffix in _HDF5 or (suffix == ".keras" and legacy.is_hdf5(path)):
        return legacy.load_hdf5(path)
    if suffix == ".keras":
        return legacy.load_archive(path) if legacy.is_archive(path) else kerasfiles.load(path)
    if suffix == ".json" and weights is not None:
        return legacy.load_pair(path, weights)
    if suffix == ".json":
        raise ModelError(
            f"{path} describes a model without its weights", "Give model.json and model.h5."
        )
    raise ModelError(
        f"{path} is not a model file that can be imported",
        "Give .keras, .h5, model.json and model.h5, or an exported .tar.",
    )


def add_model(
    registry: Registry,
    model: keras.Model,
    card: Card,
    *,
    scratch: Path,
    table: Table | None = None,
    activate: bool = False,
) -> Card:
    """Check a model against its card, save it, check the saved file and register a version."""
    card = prepare(model, card, scratch=scratch, table=table)
    return registry.add(card, scratch / MODEL_FILE, activate=activate)


def prepare(model: keras.Model, card: Card, *, scratch: Path, table: Table | None = None) -> Card:
    """Check a model against its card, save it to `scratch` and check the saved file.

    Return the complete card. The registry adds version and hash.
    """
    model = kerasfiles.one_input(model)
    predictor = Predictor.of(model, card)
    rows = probe(card)
    answers = predictor.predict(rows)
    refuse_misfit(card, answers)
    path = scratch / MODEL_FILE
    kerasfiles.save(model, path)
    again = Predictor.of(kerasfiles.load(path), card).predict(rows)
    off = float(np.abs(again - answers).max())
    if off > _TOLERANCE:
        raise ModelError(
            f"the saved model predicts differently, by up to {off:g}",
            "A layer does not save its weights. Save the model again with the latest Keras.",
        )
    if not card.created:
        card = card.model_copy(update=provenance())
    if table is not None:
        card = card.model_copy(update=described(card, predictor, table))
    return card.model_copy(update={"sanity": sanity_of(predictor, rows)})


def check_folder(folder: Path) -> None:
    """Raise ModelError if a version folder from elsewhere cannot be served."""
    card = read_card(folder / CARD_FILE)
    path = folder / MODEL_FILE
    refuse_changed(path, card)
    refuse_misfit(card, Predictor.of(kerasfiles.load(path), card).predict(probe(card)))


def probe(card: Card) -> NDArray[np.float32]:
    """Rows in the plausible range: the defaults, then random ones."""
    drawn = [row for row, _ in cohort.sample(card, _PROBED, seed=1)]
    default = {feature.name: feature.default for feature in card.features}
    return np.array([list(row.values()) for row in (default, *drawn)], np.float32)


def refuse_misfit(card: Card, answers: NDArray[np.float32]) -> None:
    """Raise ModelError if predictions contradict the card."""
    if not np.isfinite(answers).all():
        raise ModelError(
            "the model predicts NaN or infinity for plausible rows",
            "Check low, high and default in the features file, and the model's weights.",
        )
    card.output.check_answers(answers)


def measured(card: Card, predictor: Predictor, table: Table) -> Metrics:
    """The quality of a model on a table with known outcomes."""
    answers = predictor.predict(table.rows.astype(np.float32)).astype(np.float64)
    return card.output.measure(table.truth, answers)


def described(card: Card, predictor: Predictor, table: Table) -> dict[str, object]:
    """What a table with known outcomes adds to the card: metrics and a cohort."""
    groups: list[tuple[str | None, NDArray[np.bool_]]] = [
        (label, table.truth == index) for index, label in enumerate(card.classes)
    ]
    return {
        "metrics": measured(card, predictor, table),
        "cohort": cohort.summarise(
            card.features, table.rows, groups or [(None, np.ones(len(table.truth), bool))]
        ),
        "data_sha256": table.sha256,
    }
