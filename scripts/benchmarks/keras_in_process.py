"""Keras with nothing around it: model.predict on the rows of a CSV file, in this process.

Run as a program: it prints JSON with the seconds that reading and predicting took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from production_server.model import kerasfiles


def timed(model_file: Path, table: Path) -> dict[str, float]:
    model = kerasfiles.load(model_file)
    began = time.perf_counter()
    rows = np.loadtxt(table, np.float32, delimiter=",", skiprows=1)
    read = time.perf_counter() - began
    told = {"read_s": read}
    for name, size in (("batch_4096", 4096), ("batch_32", 32)):
        # Compiles for the batch and for what is left over, as a long-lived process has done.
        model.predict(rows[: size + len(rows) % size], batch_size=size, verbose=0)
        began = time.perf_counter()
        model.predict(rows, batch_size=size, verbose=0)
        told[name] = time.perf_counter() - began
    return told


if __name__ == "__main__":
    print(json.dumps(timed(Path(sys.argv[1]), Path(sys.argv[2]))))
