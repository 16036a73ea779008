"""The Celery task of a typical tutorial: model.predict on TensorFlow, once per request."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
from celery import Celery

app = Celery("tasks", broker=os.environ["BENCH_BROKER_URL"], backend="rpc://")


@cache
def model():
    """Load the model once per process; many tutorials load it in every task, which is slower."""
    import keras

    return keras.saving.load_model(os.environ["BENCH_KERAS"], compile=False)


@app.task
def predict(rows: list[list[float]]) -> list[float]:
    return model().predict(np.array(rows, "float32"), verbose=0)[:, 0].tolist()
