"""A worker that also tells how many chunks it has predicted."""

from __future__ import annotations

from celery.worker.control import inspect_command
from celery.worker.state import total_count

from production_server.messaging.names import PREDICT_CHUNK
from production_server.settings import load_settings, set_up_logging
from production_server.worker.process import run_worker

COUNT = "count_chunks"


@inspect_command(name=COUNT)
def count_chunks(_state: object) -> int:
    """Remote command: the number of chunks."""
    return int(total_count[PREDICT_CHUNK])


if __name__ == "__main__":
    set_up_logging("INFO")
    run_worker(load_settings(), 1)
