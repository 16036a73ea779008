"""A worker whose model kills the process on one value and raises on another.

python -m tests.support.poisoned_worker 1        run worker number 1
python -m tests.support.poisoned_worker serve    run any other command of production_server
"""

from __future__ import annotations

import os
import signal
import sys

import numpy as np
from numpy.typing import NDArray

from production_server.cli import main
from production_server.model.predictor import Predictor
from production_server.settings import load_settings, set_up_logging
from production_server.worker.process import run_worker

DEADLY, FAILING = 666.0, 777.0

original_predict = Predictor.predict


def predict(self: Predictor, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if (rows == DEADLY).any():
        os.kill(os.getpid(), signal.SIGKILL)
    if (rows == FAILING).any():
        raise ZeroDivisionError("this model divides by zero")
    return original_predict(self, rows)


if __name__ == "__main__":
    Predictor.predict = predict  # type: ignore[method-assign]
    if not sys.argv[1].isdigit():
        main()
        raise SystemExit
    settings = load_settings()
    set_up_logging(settings.log_level)
    run_worker(settings, int(sys.argv[1]))
