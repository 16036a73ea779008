"""Training: a table in, a network and its card out.

The held-out rows are set aside first and stay unused until the end. Cross-validation, search and
early stopping use the others.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from production_server.errors import DataError, ModelError, RegistryError
from production_server.model import cohort, folds, scores
from production_server.model.baseline import LogisticRegression, Scaling
from production_server.model.card import Card
from production_server.model.kerasfiles import keras_module
from production_server.model.metrics import CrossValidation
from production_server.model.network import SEARCH, Recipe, build
from production_server.model.outputs import Binary
from production_server.model.predictor import Predictor
from production_server.places import COMMAND

if TYPE_CHECKING:
    import keras

    from production_server.model.dataset import Table
    from production_server.model.registry import Registry

Array = NDArray[np.float64]
Say = Callable[[str], None]
# Gets the number of epochs so far, the loss and that of the rows that decide when to stop.
OnEpoch = Callable[[int, float, float], None]
_HELD_OUT = 0.2
_STOPPING_FOLDS = 7  # one in seven of the training rows decides when to stop
_PATIENCE = 30
MOST_EPOCHS = 400
_FEWEST_OF_A_CLASS = 25  # so that every split of every fold has some


@dataclass(frozen=True)
class Trained:
    """A network with its card. The registry adds the hash of the model file."""

    model: keras.Model
    card: Card
    recipe: Recipe
    held_out: NDArray[np.bool_]

    @property
    def held_out_auc(self) -> float:
        auc = self.card.metrics.roc_auc if self.card.metrics else None
        return 0.0 if auc is None else auc


def train(
    table: Table,
    card: Card,
    *,
    seed: int = 7,
    fold_count: int = 5,
    search: bool = False,
    say: Say = lambda line: None,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train a binary classifier. The same table and seed give the same model."""
    _refuse_unfit(table, card)
    zero_is_missing = np.array([feature.zero_is_missing for feature in card.features])
    aside = folds.held_out(table.truth, _HELD_OUT, seed)
    rows, truth = table.rows[~aside], table.truth[~aside]
    say(f"{len(table.truth)} rows, {int(table.truth.sum())} positive; {aside.sum()} held out")

    recipe = Recipe()
    if search:
        recipe = best_recipe(
            rows, truth, zero_is_missing, fold_count=fold_count, seed=seed, say=say
        )
    # On all rows: this figure decides nothing, so the held-out rows do not leak.
    validation = cross_validate(
        table.rows, table.truth, zero_is_missing, recipe, fold_count=fold_count, seed=seed
    )
    say(_compared(validation, recipe))

    model = fit(rows, truth, zero_is_missing, recipe, seed, on_epoch)
    answers = np.asarray(model(table.rows[aside].astype(np.float32), training=False), np.float64)
    measured = card.output.measure(table.truth[aside], answers, len(truth)).model_copy(
        update={"cross_validation": validation}
    )
    groups = [(label, truth == index) for index, label in enumerate(card.classes)]
    return Trained(
        model=model,
        recipe=recipe,
        held_out=aside,
        card=card.model_copy(
            update={
                "metrics": measured,
                "cohort": cohort.summarise(card.features, rows, list(groups)),
                "data_sha256": table.sha256,
                **provenance(),
            }
        ),
    )


def best_recipe(
    rows: Array,
    truth: Array,
    zero_is_missing: NDArray[np.bool_],
    *,
    fold_count: int,
    seed: int,
    say: Say,
) -> Recipe:
    """The recipe in the small grid with the best cross-validated ROC AUC."""
    results = {}
    for recipe in SEARCH:
        result = cross_validate(
            rows, truth, zero_is_missing, recipe, fold_count=fold_count, seed=seed
        )
        say("search: " + _compared(result, recipe))
        results[recipe] = result.auc
    best = max(results, key=lambda recipe: results[recipe])
    say(f"best: {best}")
    return best


def _compared(result: CrossValidation, recipe: Recipe) -> str:
    return (
        f"{result.folds}-fold cross-validated ROC AUC: {result.auc:.4f} ({recipe}); "
        f"logistic regression on the same folds: {result.baseline_auc:.4f}"
    )


def cross_validate(
    rows: Array,
    truth: Array,
    zero_is_missing: NDArray[np.bool_],
    recipe: Recipe,
    *,
    fold_count: int,
    seed: int,
) -> CrossValidation:
    """ROC AUC on each fold, for a network and a baseline that have not seen it."""
    fold = folds.stratified(truth, fold_count, seed)
    network, baseline = [], []
    for number in range(fold_count):
        test = fold == number
        model = fit(rows[~test], truth[~test], zero_is_missing, recipe, seed)
        answers = np.asarray(model(rows[test].astype(np.float32), training=False))[:, 0]
        network.append(scores.roc_auc(truth[test], answers))
        peer = LogisticRegression.fit(rows[~test], truth[~test], zero_is_missing)
        baseline.append(scores.roc_auc(truth[test], peer.probability(rows[test])))
    return CrossValidation(
        folds=fold_count,
        auc=round(float(np.mean(network)), 6),
        baseline_auc=round(float(np.mean(baseline)), 6),
        fold_auc=[round(value, 6) for value in network],
        fold_baseline_auc=[round(value, 6) for value in baseline],
    )


def fit(
    rows: Array,
    truth: Array,
    zero_is_missing: NDArray[np.bool_],
    recipe: Recipe,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> keras.Model:
    """One network, stopped when validation rows stop improving."""
    keras = keras_module()
    keras.utils.set_random_seed(seed)
    watched = folds.stratified(truth, _STOPPING_FOLDS, seed + 1) == 0
    model = build(recipe, Scaling.of(rows[~watched], zero_is_missing))
    inputs, targets = rows.astype(np.float32), truth.astype(np.float32)
    stop = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=_PATIENCE, restore_best_weights=True
    )
    callbacks = [stop]
    if on_epoch is not None:
        tell = on_epoch
        callbacks.append(
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: tell(epoch + 1, logs["loss"], logs["val_loss"])
            )
        )
    model.fit(
        inputs[~watched],
        targets[~watched],
        validation_data=(inputs[watched], targets[watched]),
        batch_size=recipe.batch_size,
        epochs=MOST_EPOCHS,
        verbose=0,
        callbacks=callbacks,
    )
    return model


def rival_auc(registry: Registry, trained: Trained, table: Table) -> tuple[str, float] | None:
    """The active version and its ROC AUC on the same held-out rows, if they can be compared."""
    try:
        rival = registry.card(registry.active())
    except RegistryError:
        return None
    same = rival.kind == Binary.kind and rival.feature_names == trained.card.feature_names
    if rival.name != trained.card.name or not same:
        return None
    rows = table.rows[trained.held_out].astype(np.float32)
    answers = Predictor.load(registry, rival.version).predict(rows)[:, 0].astype(np.float64)
    return rival.version, scores.roc_auc(table.truth[trained.held_out], answers)


def refuse_worse(
    new: float, *, floor: float, active: tuple[str, float] | None, slack: float = 0.005
) -> None:
    """Raise ModelError if a held-out ROC AUC is below the floor or worse than the active version's.

    `slack` allows for rounding on another processor.
    """
    remedy = "Improve the data or the recipe, or keep the model anyway with --force."
    if new < floor:
        raise ModelError(
            f"held-out ROC AUC {new:.4f} is below the threshold {floor:.4f}: model not kept", remedy
        )
    if active is not None and new < active[1] - slack:
        raise ModelError(
            f"held-out ROC AUC {new:.4f} is worse than {active[1]:.4f}, the figure of the active "
            f"{active[0]} on the same rows: model not kept",
            remedy,
        )


def provenance() -> dict[str, object]:
    """How a model was made: libraries, backend and time."""
    keras = keras_module()
    backend = keras.config.backend()
    libs = {"python": platform.python_version()}
    for name in ("keras", "numpy", backend):
        try:
            libs[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu is also "tensorflow"
            libs[name] = "unknown"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"libs": libs, "backend": backend, "created": now}


def _refuse_unfit(table: Table, card: Card) -> None:
    if card.kind != Binary.kind:
        raise ModelError(
            f"only binary classifiers can be trained here; {card.name} is {card.kind}",
            f"Train it with Keras, then run: {COMMAND} models import",
        )
    counts = [int((table.truth == label).sum()) for label in (0, 1)]
    if min(counts) < _FEWEST_OF_A_CLASS:
        raise DataError(
            f"the data has {counts[0]} negative and {counts[1]} positive rows; "
            f"at least {_FEWEST_OF_A_CLASS} of each are needed",
            "Add rows.",
        )
