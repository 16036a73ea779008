"""Ray Serve with onnxruntime; a plain callable as ingress is its fastest option."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
from ray import serve
from starlette.requests import Request


@serve.deployment(
    num_replicas=int(os.environ["BENCH_WORKERS"]),
    max_ongoing_requests=1000,
    ray_actor_options={"num_cpus": 1},
)
class Model:
    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["BENCH_ONNX"], options)

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        rows = (await request.json())["rows"]
        matrix = np.array([list(row.values()) for row in rows], np.float32)
        probabilities = self.session.run(None, {"measurements": matrix})[0][:, 0]
        return {"probability": probabilities.tolist()}


app = Model.bind()
