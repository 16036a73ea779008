"""The numbers of rows that a model predicts at once.

The rows in one message of a job are a setting: chunk_rows in settings.py.
"""

from __future__ import annotations

# A model is compiled for each of these sizes. Batches are padded to the next size.
BATCH_SIZES = (1, 8, 64, 512, 4096)
# The most rows that the lane, the JSON reader and the command line put into one batch.
LARGEST_BATCH = BATCH_SIZES[-1]
