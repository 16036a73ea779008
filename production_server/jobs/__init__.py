"""Jobs: many rows now, the answers later; durable from acceptance to the last chunk.

request body -> intake (csv_rows, json_rows: checked float32 chunks) -> store
store -> dispatcher -> queue -> tasks.predict_chunk (worker) -> tasks.record_chunk -> store
store -> results (CSV, JSON)
"""
