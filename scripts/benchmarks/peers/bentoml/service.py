"""BentoML with onnxruntime: each worker is a process that loads the model."""

from __future__ import annotations

import os

import bentoml
import numpy as np
import onnxruntime as ort


@bentoml.service(
    workers=int(os.environ["BENCH_WORKERS"]),
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Model:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["BENCH_ONNX"], options)

    @bentoml.api
    async def predict(self, rows: list[dict[str, float]]) -> list[float]:
        matrix = np.array([list(row.values()) for row in rows], np.float32)
        return self.session.run(None, {"measurements": matrix})[0][:, 0].tolist()
