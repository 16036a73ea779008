"""Training on the command line, with synthetic patients: quality checks, seed and card."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from production_server.cli import group
from production_server.errors import DataError, ModelError
from production_server.model import training
from production_server.model.cohort import sample
from production_server.model.dataset import read_table
from production_server.model.network import Recipe
from production_server.model.predictor import Predictor
from production_server.model.registry import SHIPPED, Registry

CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table drawn from the card. The Pima data itself is not in the repository."""
    path = tmp_path_factory.mktemp("data") / "patients.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*CARD.feature_names, "outcome"])
        for row, label in sample(CARD, 500, seed=4):
            writer.writerow([*row.values(), CARD.classes.index(label or "")])
    return path


def run(*arguments: object) -> Result:
    """Run a verb. Errors arrive as exceptions."""
    return CliRunner().invoke(group, [str(word) for word in arguments], catch_exceptions=False)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that ends early, for tests that do not need a good model."""
    monkeypatch.setattr(training, "MOST_EPOCHS", 20)


@pytest.fixture(scope="module")
def trained(patients: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Registry, str]:
    """A registry with a version trained on the synthetic patients, and the command's output."""
    registry = Registry(tmp_path_factory.mktemp("trained") / "registry")
    digest = hashlib.sha256(patients.read_bytes()).hexdigest()
    # With --force, because a few synthetic rows may not beat the shipped model's real data.
    done = run(
        "train",
        "--data",
        patients,
        "--sha256",
        digest,
        "--folds",
        3,
        "--force",
        "--registry",
        registry.path,
    )
    assert done.exit_code == 0, done.output
    return registry, done.output


def test_the_baseline_is_printed_with_the_model(trained: tuple[Registry, str]) -> None:
    assert "3-fold cross-validated ROC AUC: 0." in trained[1]
    assert "logistic regression on the same folds: 0." in trained[1]


def test_it_becomes_the_next_version_but_not_the_active_one(trained: tuple[Registry, str]) -> None:
    registry, output = trained
    assert registry.versions() == ["diabetes-1", "diabetes-2"]
    assert registry.active() == "diabetes-1"
    assert "added diabetes-2 to" in output


def test_the_card_is_complete(trained: tuple[Registry, str], patients: Path) -> None:
    card = trained[0].card("diabetes-2")
    assert card.data_sha256 == hashlib.sha256(patients.read_bytes()).hexdigest()
    assert card.metrics is not None
    assert card.metrics.cross_validation is not None
    assert card.metrics.rows_train + card.metrics.rows_test == 500
    assert card.metrics.roc_auc is not None
    assert card.metrics.roc_auc > 0.7
    assert card.cohort is not None
    assert [group.label for group in card.cohort.groups] == CARD.classes
    assert card.backend == "jax"
    assert set(card.libs) == {"python", "keras", "numpy", "jax"}


def test_held_out_predictions_are_those_of_the_stored_model(
    trained: tuple[Registry, str], patients: Path
) -> None:
    registry, _ = trained
    card = registry.card("diabetes-2")
    table = read_table(str(patients), card)
    answers = Predictor.load(registry, "diabetes-2").predict(table.rows.astype(np.float32))[:, 0]
    assert card.metrics is not None
    assert card.metrics.held_out is not None
    stored = {round(float(value), 4) for value in np.ravel(card.metrics.held_out.probability)}
    assert stored <= {round(float(value), 4) for value in answers} | {
        round(float(value) + step, 4) for value in answers for step in (-1e-4, 1e-4)
    }


def test_same_seed_gives_the_same_network(patients: Path) -> None:
    table = read_table(str(patients), CARD)
    missing = np.array([feature.zero_is_missing for feature in CARD.features])
    recipe = Recipe(units=(4,), dropout=0.1)
    rows = table.rows[:5].astype(np.float32)
    first, again, other = (
        np.asarray(training.fit(table.rows, table.truth, missing, recipe, seed)(rows))
        for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.usefixtures("hasty")
def test_a_model_worse_than_the_threshold_is_refused(patients: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="below the threshold"):
        run("train", "--data", patients, "--folds", 2, "--min-auc", 0.99, "--registry", tmp_path)
    assert Registry(tmp_path).versions() == ["diabetes-1"]


@pytest.mark.usefixtures("hasty")
def test_a_model_worse_than_the_active_one_is_refused(patients: Path, tmp_path: Path) -> None:
    """The outcomes of the training rows are shuffled; those of the held-out rows are not."""
    from production_server.model import folds

    table = read_table(str(patients), CARD)
    aside = folds.held_out(table.truth, 0.2, 7)
    truth = table.truth.copy()
    truth[~aside] = np.random.default_rng(0).permutation(truth[~aside])
    lied = tmp_path / "lied.csv"
    columns = ",".join([*CARD.feature_names, "outcome"])
    np.savetxt(
        lied,
        np.column_stack([table.rows, truth]),
        delimiter=",",
        header=columns,
        comments="",
        fmt="%g",
    )
    registry = tmp_path / "registry"
    with pytest.raises(ModelError, match="the figure of the active diabetes-1 on the same rows"):
        run("train", "--data", lied, "--folds", 2, "--min-auc", 0, "--registry", registry)
    assert Registry(registry).versions() == ["diabetes-1"]


def test_other_data_with_a_features_file(tmp_path: Path) -> None:
    described = {
        "name": "pumps",
        "kind": "binary",
        "target": "Pump fails",
        "outcome": "failed",
        "classes": ["runs", "fails"],
        "features": [
            {"name": "hours", "low": 0, "high": 100, "default": 10, "minimum": 0},
            {"name": "drift", "low": -5, "high": 5, "default": 0, "decimals": 2},
        ],
    }
    features, data = tmp_path / "pumps.json", tmp_path / "pumps.csv"
    features.write_text(json.dumps(described), encoding="utf-8")
    random = np.random.default_rng(1)
    rows = np.column_stack([random.uniform(0, 100, 240).round(), random.normal(0, 2, 240).round(2)])
    label = np.where(rows[:, 0] / 20 + rows[:, 1] + random.normal(0, 1, 240) > 3, "fails", "runs")
    lines = [
        f"{hours:g},{drift:g},{what}" for (hours, drift), what in zip(rows, label, strict=True)
    ]
    data.write_text("\n".join(["Hours,Drift,Failed", *lines]), encoding="utf-8")
    done = run(
        "train",
        "--data",
        data,
        "--features",
        features,
        "--folds",
        2,
        "--activate",
        "--registry",
        tmp_path / "registry",
    )
    assert done.exit_code == 0, done.output
    registry = Registry(tmp_path / "registry")
    assert registry.active() == "pumps-1"
    answers = Predictor.load(registry, "pumps-1").predict(np.array([[5, -4], [95, 4]], np.float32))
    assert answers[0, 0] < 0.1
    assert answers[1, 0] > 0.9


def test_too_few_rows_are_reported(patients: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("".join(patients.read_text().splitlines(keepends=True)[:30]), encoding="utf-8")
    with pytest.raises(DataError, match="at least 25 of each"):
        run("train", "--data", few, "--registry", tmp_path / "registry")


def test_the_error_for_other_kinds_names_import(tmp_path: Path) -> None:
    from tests.support.other_models import DATA, FLOWERS

    with pytest.raises(ModelError, match="binary classifiers") as caught:
        run("train", "--data", DATA / "flowers.csv", "--features", FLOWERS, "--registry", tmp_path)
    assert "models import" in caught.value.remedy


def test_evaluate_measures_a_version(trained: tuple[Registry, str], patients: Path) -> None:
    done = run(
        "evaluate",
        "--data",
        patients,
        "--model",
        "diabetes-1",
        "--json",
        "--registry",
        trained[0].path,
    )
    metrics = json.loads(done.stdout)
    assert metrics["rows_test"] == 500
    assert metrics["roc_auc"] > 0.7
    words = run("evaluate", "--data", patients, "--registry", trained[0].path).output
    assert "measured on 500 rows\n" in words


@pytest.mark.usefixtures("hasty")
def test_search_keeps_the_best_recipe(patients: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = (Recipe(units=(8,), learning_rate=0.0), Recipe(units=(8,)))  # the first cannot learn
    monkeypatch.setattr(training, "SEARCH", grid)
    table = read_table(str(patients), CARD)
    missing = np.array([feature.zero_is_missing for feature in CARD.features])
    lines: list[str] = []
    best = training.best_recipe(
        table.rows, table.truth, missing, fold_count=2, seed=7, say=lines.append
    )
    assert best == grid[1]
    assert sum(line.startswith("search: ") for line in lines) == 2
