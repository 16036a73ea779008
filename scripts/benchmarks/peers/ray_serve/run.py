"""Run Ray Serve on this machine only, until SIGINT or SIGTERM."""

from __future__ import annotations

import os
import signal
import threading

import ray
from app import app
from ray import serve

stopping = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: stopping.set())
ray.init(
    num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 1024 * 1024
)
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
serve.run(app)
stopping.wait()
serve.shutdown()
ray.shutdown()
