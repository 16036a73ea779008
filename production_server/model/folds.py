"""Stratified splits from a seed, so that a model and its baseline get the same rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def stratified(labels: NDArray[np.floating], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold number for each row; every fold has the same share of each label."""
    random = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    start = 0
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        random.shuffle(rows)
        # Continue where the last label ended, so that fold sizes differ by at most one.
        fold[rows] = (np.arange(len(rows)) + start) % folds
        start += len(rows)
    return fold


def held_out(labels: NDArray[np.floating], share: float, seed: int) -> Mask:
    """Mask of the held-out rows: `share` of the rows of each label."""
    random = np.random.default_rng(seed)
    aside = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        aside[random.permutation(rows)[: round(len(rows) * share)]] = True
    return aside
