"""FastAPI with onnxruntime in the web process, without a queue."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI
from pydantic import BaseModel


class Row(BaseModel):
    pregnancies: float
    glucose: float
    blood_pressure: float
    skin_thickness: float
    insulin: float
    bmi: float
    diabetes_pedigree: float
    age: float

    def values(self) -> tuple[float, ...]:
        return (
            self.pregnancies,
            self.glucose,
            self.blood_pressure,
            self.skin_thickness,
            self.insulin,
            self.bmi,
            self.diabetes_pedigree,
            self.age,
        )


class Prediction(BaseModel):
    label: str
    probability: float


options = ort.SessionOptions()
# For such a small model, a thread pool costs more than it saves; uvicorn runs one process per core.
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["BENCH_ONNX"], options)
app = FastAPI()


def predictions(rows: list[Row]) -> list[Prediction]:
    matrix = np.array([row.values() for row in rows], np.float32)
    probabilities = session.run(None, {"measurements": matrix})[0][:, 0].tolist()
    return [
        Prediction(
            label="diabetes" if probability >= 0.5 else "no diabetes", probability=probability
        )
        for probability in probabilities
    ]


# `async def`, because the model takes microseconds: less than handing the call to a thread.
@app.post("/predict")
async def predict(row: Row) -> Prediction:
    return predictions([row])[0]


@app.post("/predict_many")
async def predict_many(rows: list[Row]) -> list[Prediction]:
    return predictions(rows)
