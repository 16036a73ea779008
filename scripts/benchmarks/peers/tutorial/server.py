"""The web server of a typical tutorial: send a Celery task and wait for its result."""

from __future__ import annotations

from flask import Flask, jsonify, request
from tasks import predict

app = Flask(__name__)


@app.post("/predict")
def predict_rows():
    rows = request.get_json()
    probability = predict.delay([list(row.values()) for row in rows]).get(timeout=60)
    return jsonify(probability=probability)
