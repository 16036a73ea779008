"""LitServe with onnxruntime; BENCH_BATCH is the maximum batch size, 1 turns batching off."""

from __future__ import annotations

import os

import litserve
import numpy as np
import onnxruntime as ort

BATCH = int(os.environ["BENCH_BATCH"])


class Model(litserve.LitAPI):
    def setup(self, device):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["BENCH_ONNX"], options)

    def decode_request(self, request):
        return np.array([list(row.values()) for row in request["rows"]], np.float32)

    def batch(self, inputs):
        self.ends = np.cumsum([len(rows) for rows in inputs])[:-1]
        return np.concatenate(inputs)

    def predict(self, rows):
        return self.session.run(None, {"measurements": rows})[0][:, 0]

    def unbatch(self, output):
        return np.split(output, self.ends)

    def encode_response(self, output):
        return {"probability": output.tolist()}


if __name__ == "__main__":
    batching = {"max_batch_size": BATCH, "batch_timeout": 0.0001} if BATCH > 1 else {}
    server = litserve.LitServer(
        Model(**batching),
        accelerator="cpu",
        workers_per_device=int(os.environ["BENCH_WORKERS"]),
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=int(os.environ["BENCH_SERVERS"]),
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
