"""Synthetic rows follow the statistics they are drawn from, and stay within the hard limits."""

from __future__ import annotations

import numpy as np
import pytest

from production_server.model import cohort
from production_server.model.card import Card, Feature
from production_server.model.registry import SHIPPED, Registry

SHIPPED_CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])


def table(card: Card, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = cohort.sample(card, n, seed)
    rows = np.array([[row[name] for name in card.feature_names] for row, _ in drawn])
    return rows, np.array([label for _, label in drawn])


def test_the_same_seed_draws_the_same_rows() -> None:
    assert cohort.sample(SHIPPED_CARD, 20, 5) == cohort.sample(SHIPPED_CARD, 20, 5)
    assert cohort.sample(SHIPPED_CARD, 20, 5) != cohort.sample(SHIPPED_CARD, 20, 6)


def test_each_class_keeps_its_share_missing_values_and_means() -> None:
    assert SHIPPED_CARD.cohort is not None
    rows, labels = table(SHIPPED_CARD, 6000, 1)
    for group in SHIPPED_CARD.cohort.groups:
        own = rows[labels == group.label]
        assert len(own) / len(rows) == pytest.approx(group.share, abs=0.001)
        for place, feature in enumerate(SHIPPED_CARD.features):
            column = own[:, place]
            if feature.zero_is_missing:
                assert np.mean(column == 0) == pytest.approx(group.missing[place], abs=0.03)
                column = column[column != 0]
            # The tails are cut off, so the mean of a skewed column moves a little.
            assert column.mean() == pytest.approx(group.means[place], abs=0.2 * group.sds[place])


def test_correlations_are_preserved() -> None:
    rows, _ = table(SHIPPED_CARD, 6000, 2)
    names = SHIPPED_CARD.feature_names
    age, pregnancies = rows[:, names.index("age")], rows[:, names.index("pregnancies")]
    assert np.corrcoef(age, pregnancies)[0, 1] > 0.4


def test_values_are_rounded_and_possible() -> None:
    for row, _ in cohort.sample(SHIPPED_CARD, 500, 3):
        for feature in SHIPPED_CARD.features:
            value = row[feature.name]
            assert value == round(value, feature.decimals)
            assert feature.minimum is None or value >= feature.minimum
            assert feature.low <= value <= feature.high or (value == 0 and feature.zero_is_missing)


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_the_number_of_rows_is_exact(n: int) -> None:
    assert len(cohort.sample(SHIPPED_CARD, n, 1)) == n


def test_without_statistics_rows_are_plausible_and_have_no_class() -> None:
    bare = SHIPPED_CARD.model_copy(update={"cohort": None})
    for row, label in cohort.sample(bare, 100, 1):
        assert label is None
        for feature in bare.features:
            assert feature.low <= row[feature.name] <= feature.high


def test_a_summary_contains_no_extreme_of_a_single_row() -> None:
    features = [Feature(name="a", low=0, high=100, default=1)]
    rows = np.append(np.arange(99.0), 1e6)[:, None]
    made = cohort.summarise(features, rows, [("all", np.ones(100, bool))])
    assert max(made.groups[0].quantiles[0]) < 1000


def test_a_column_without_values_is_drawn_as_missing() -> None:
    feature = Feature(name="a", low=1, high=9, default=4, minimum=0, zero_is_missing=True)
    made = cohort.summarise([feature], np.zeros((5, 1)), [(None, np.ones(5, bool))])
    card = Card(
        name="toy", version="toy-1", kind="regression", target="t", features=[feature], cohort=made
    )
    assert {row["a"] for row, _ in cohort.sample(card, 50, 1)} == {0.0}
