"""A loaded model that predicts fast.

The forward pass is compiled for a few batch sizes, with the weights as constants. A batch is padded
to the next of these sizes, and a larger one is split. `warm()` compiles for all of them, so that no
request waits for the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from production_server.batch_sizes import BATCH_SIZES, LARGEST_BATCH
from production_server.errors import DataError, ModelError
from production_server.model import kerasfiles

if TYPE_CHECKING:
    import keras

    from production_server.model.card import Card
    from production_server.model.registry import Registry

Rows = NDArray[np.float32]
Forward = Callable[[Rows], Rows]


class Predictor:
    """One version of a model, ready to predict."""

    def __init__(self, card: Card, forward: Forward) -> None:
        self.card = card
        self.version = card.version
        self._forward = forward
        self._features = len(card.features)

    @classmethod
    def load(cls, registry: Registry, version: str) -> Predictor:
        """Load a version of the registry. Raise if its file does not match its card."""
        card = registry.card(version)
        return cls.of(kerasfiles.load(registry.checked_model_path(version)), card)

    @classmethod
    def of(cls, model: keras.Model, card: Card) -> Predictor:
        """Make a predictor from a model in memory."""
        expected, found = (len(card.features), card.width), kerasfiles.widths(model)
        if expected != found:
            raise ModelError(
                f"{card.version}: the model takes {found[0]} inputs and returns {found[1]} "
                f"outputs, but its card describes {expected[0]} and {expected[1]}",
                "Correct the features file and import the model again.",
            )
        return cls(card, _compile(model))

    def warm(self) -> None:
        """Compile for every batch size."""
        for size in BATCH_SIZES:
            self.predict(np.zeros((size, self._features), np.float32))

    def predict(self, rows: Rows) -> Rows:
        """Predict rows of raw values: [n, features] in, [n, width] out."""
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._features:
            raise DataError(
                f"{self.version} takes rows of {self._features} numbers, got shape {rows.shape}",
                f"Pass them in this order: {', '.join(self.card.feature_names)}.",
            )
        count = len(rows)
        if count in BATCH_SIZES:
            return self._forward(rows)
        if count == 0:
            return np.zeros((0, self.card.width), np.float32)
        answers = np.empty((count, self.card.width), np.float32)
        for start, stop, size in batches(count):
            part = rows[start:stop]
            if stop - start < size:
                padded = np.zeros((size, self._features), np.float32)
                padded[: stop - start] = part
                part = padded
            answers[start:stop] = self._forward(part)[: stop - start]
        return answers


def batches(count: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, padded size) of each batch of `count` rows."""
    for start in range(0, count, LARGEST_BATCH):
        stop = min(start + LARGEST_BATCH, count)
        yield start, stop, next(size for size in BATCH_SIZES if stop - start <= size)


def _compile(model: keras.Model) -> Forward:
    import keras

    compilers = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
    backend = keras.config.backend()
    if backend not in compilers:
        raise ModelError(
            f"the Keras backend {backend!r} is not supported",
            "Set KERAS_BACKEND to jax, tensorflow or torch.",
        )
    return compilers[backend](model)


def jitted(model: keras.Model) -> Any:
    """The forward pass, traced once for each batch size, with the weights as constants."""
    import jax

    return jax.jit(partial(model, training=False))


def _jax(model: keras.Model) -> Forward:
    forward = jitted(model)
    return lambda rows: np.asarray(forward(rows))


def _tensorflow(model: keras.Model) -> Forward:
    import tensorflow as tf

    forward = tf.function(partial(model, training=False))

    def answer(rows: Rows) -> Rows:
        answers: Rows = forward(tf.constant(rows)).numpy()
        return answers

    return answer


def _torch(model: keras.Model) -> Forward:
    import torch

    def answer(rows: Rows) -> Rows:
        with torch.inference_mode():
            answers: Rows = model(torch.tensor(rows), training=False).numpy()
        return answers

    return answer
