"""The usual tutorial's task: model.predict on TensorFlow, once for each request."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
from celery import Celery

app = Celery("tasks", broker=os.environ["BENCH_BROKER_URL"], backend="rpc://")


@cache
def model():
    """Loaded once a process, which is kinder than the many tutorials that load it in the task."""
    import keras

    return keras.saving.load_model(os.environ["BENCH_KERAS"], compile=False)


@app.task
def predict(rows: list[list[float]]) -> list[float]:
    return model().predict(np.array(rows, "float32"), verbose=0)[:, 0].tolist()
