"""How many rows a model computes at once: the one place that says so."""

from __future__ import annotations

# A network is compiled for each of these sizes; a smaller batch is padded to the next one.
BATCH_SIZES = (1, 8, 64, 512, 4096)
# The lane, the JSON reader and the command line collect at most this many rows.
LARGEST_BATCH = BATCH_SIZES[-1]
