"""The baseline for jobs: model.predict on the rows of a CSV file, in this process.

Run as a program, it prints as JSON how many seconds reading and predicting took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from production_server.model import kerasfiles


def measure(model_file: Path, table: Path) -> dict[str, float]:
    model = kerasfiles.load(model_file)
    started = time.perf_counter()
    rows = np.loadtxt(table, np.float32, delimiter=",", skiprows=1)
    read = time.perf_counter() - started
    seconds = {"read_s": read}
    for name, size in (("batch_4096", 4096), ("batch_32", 32)):
        # Compile for the full batch and for the remainder first, as a long-lived process has done.
        model.predict(rows[: size + len(rows) % size], batch_size=size, verbose=0)
        started = time.perf_counter()
        model.predict(rows, batch_size=size, verbose=0)
        seconds[name] = time.perf_counter() - started
    return seconds


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Path(sys.argv[2]))))
