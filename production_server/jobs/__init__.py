"""Jobs: many rows now, the answers later; durable from acceptance to the last chunk.

request body -> intake (csv_rows, json_rows: checked float32 chunks) -> store
store -> dispatcher -> queue -> chunks (worker) -> queue -> recording -> store
store -> results (CSV, JSON)
"""
