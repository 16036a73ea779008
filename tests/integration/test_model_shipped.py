"""The shipped model: plain Keras can load it, and the predictor gives the same answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from production_server.batch_sizes import BATCH_SIZES
from production_server.model.card import Card
from production_server.model.cohort import sample
from production_server.model.predictor import Predictor
from production_server.model.registry import SHIPPED, Registry

REGISTRY = Registry(SHIPPED)
CARD = REGISTRY.card(REGISTRY.versions()[-1])
Table = NDArray[np.float32]


def rows_of(card: Card, count: int, seed: int = 3) -> Table:
    drawn = sample(card, count, seed)
    return np.array([list(row.values()) for row, _ in drawn], np.float32)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    loaded = Predictor.load(REGISTRY, CARD.version)
    loaded.warm()
    return loaded


@pytest.fixture(scope="module")
def expected() -> tuple[Table, Table]:
    """768 rows and Keras' own predictions for them, without our code."""
    import keras

    model = keras.saving.load_model(REGISTRY.model_path(CARD.version), safe_mode=True)
    rows = rows_of(CARD, 768)
    return rows, np.asarray(model(rows, training=False))


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 64, 65, 512, 513, 768])
def test_answers_equal_keras_own(
    predictor: Predictor, expected: tuple[Table, Table], count: int
) -> None:
    rows, answers = expected
    assert np.abs(predictor.predict(rows[:count]) - answers[:count]).max() < 1e-5


def test_each_row_alone_gives_the_same_answer(
    predictor: Predictor, expected: tuple[Table, Table]
) -> None:
    rows, answers = expected
    single = np.concatenate([predictor.predict(rows[i : i + 1]) for i in range(len(rows))])
    assert np.abs(single - answers).max() < 1e-5


def test_more_rows_than_the_largest_batch(predictor: Predictor) -> None:
    rows = rows_of(CARD, BATCH_SIZES[-1] + 5)
    answers = predictor.predict(rows)
    assert answers.shape == (len(rows), 1)
    assert np.abs(answers[-5:] - predictor.predict(rows[-5:])).max() < 1e-5


def test_read_only_rows_as_from_the_queue(predictor: Predictor) -> None:
    rows = rows_of(CARD, 8)
    packed = np.frombuffer(rows.astype("<f4").tobytes(), "<f4").reshape(8, -1)
    assert (predictor.predict(packed) == predictor.predict(rows)).all()


def test_a_missing_value_is_replaced_by_the_mean_but_a_real_zero_is_not(
    predictor: Predictor,
) -> None:
    import keras

    model = keras.saving.load_model(REGISTRY.model_path(CARD.version))
    means = np.asarray(model.get_layer("scale").mean).ravel()
    row = np.array([[feature.default for feature in CARD.features]], np.float32)
    for place, feature in enumerate(CARD.features):
        zero, mean = row.copy(), row.copy()
        zero[0, place], mean[0, place] = 0.0, means[place]
        same = np.abs(predictor.predict(zero) - predictor.predict(mean)).max() < 1e-5
        assert same == feature.zero_is_missing, feature.name


def test_it_beats_logistic_regression() -> None:
    assert CARD.metrics is not None
    validation = CARD.metrics.cross_validation
    assert validation is not None
    assert validation.auc >= validation.baseline_auc > 0.8
    assert np.mean(validation.fold_auc) == pytest.approx(validation.auc, abs=1e-5)
    assert CARD.metrics.roc_auc is not None
    assert CARD.metrics.roc_auc > 0.8


def test_card_is_complete() -> None:
    metrics = CARD.metrics
    assert metrics is not None
    assert metrics.held_out is not None
    assert len(metrics.held_out.truth) == len(metrics.held_out.probability) == metrics.rows_test
    assert sum(map(sum, metrics.confusion)) == metrics.rows_test
    assert sum(part.count for part in metrics.calibration) == metrics.rows_test
    assert metrics.roc[0].true_positive_rate == 0
    assert metrics.roc[-1].true_positive_rate == 1
    assert len(CARD.data_sha256) == len(CARD.model_sha256) == 64
    assert CARD.libs["keras"]
    assert CARD.created
    for feature in CARD.features:
        assert feature.title
        assert feature.low <= feature.default <= feature.high


def test_the_model_separates_the_synthetic_classes(predictor: Predictor) -> None:
    from production_server.model.scores import roc_auc

    drawn = sample(CARD, 2000, seed=9)
    rows = np.array([list(row.values()) for row, _ in drawn], np.float32)
    truth = np.array([label == CARD.classes[1] for _, label in drawn], float)
    assert roc_auc(truth, predictor.predict(rows)[:, 0].astype(float)) > 0.75
