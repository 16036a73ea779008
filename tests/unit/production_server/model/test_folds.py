"""Splits: stratified, complete, and the same for the same seed."""

from __future__ import annotations

import numpy as np

from production_server.model import folds

LABELS = np.array([1.0] * 35 + [0.0] * 65)


def test_every_fold_has_the_same_share_of_each_label() -> None:
    fold = folds.stratified(LABELS, 5, seed=1)
    for number in range(5):
        assert (fold == number).sum() == 20
        assert LABELS[fold == number].sum() == 7


def test_fold_sizes_differ_by_at_most_one() -> None:
    labels = np.array([0.0] * 13 + [1.0] * 11 + [2.0] * 9)
    sizes = np.bincount(folds.stratified(labels, 4, seed=3))
    assert sizes.max() - sizes.min() <= 1


def test_the_split_depends_on_the_seed() -> None:
    assert (folds.stratified(LABELS, 5, 1) == folds.stratified(LABELS, 5, 1)).all()
    assert (folds.stratified(LABELS, 5, 1) != folds.stratified(LABELS, 5, 2)).any()
    assert (folds.held_out(LABELS, 0.2, 1) == folds.held_out(LABELS, 0.2, 1)).all()


def test_held_out_rows_keep_the_share_of_labels() -> None:
    aside = folds.held_out(LABELS, 0.2, seed=1)
    assert aside.sum() == 20
    assert LABELS[aside].sum() == 7
