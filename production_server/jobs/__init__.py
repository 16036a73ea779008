"""Jobs: many rows at once, with the results later. An accepted job survives every crash.

request body -> intake (csv_rows, json_rows: checked float32 chunks) -> acceptance -> store
store -> dispatcher -> chunk_queue -> workers -> chunk_queue -> store
store -> results (CSV, JSON)

The dispatcher and the recording end of chunk_queue run in the recorder, see process.py.
"""
