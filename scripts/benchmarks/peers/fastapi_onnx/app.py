"""FastAPI with onnxruntime in the web process: nothing between request and model."""

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


class Answer(BaseModel):
    label: str
    probability: float


options = ort.SessionOptions()
# A thread pool costs more than a model this small; the processes are the parallelism.
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["BENCH_ONNX"], options)
app = FastAPI()


def answers(rows: list[Row]) -> list[Answer]:
    matrix = np.array([row.values() for row in rows], np.float32)
    chances = session.run(None, {"measurements": matrix})[0][:, 0].tolist()
    return [
        Answer(label="diabetes" if chance >= 0.5 else "no diabetes", probability=chance)
        for chance in chances
    ]


# Not `def`: the model takes microseconds, less than the hop to a thread.
@app.post("/predict")
async def predict(row: Row) -> Answer:
    return answers([row])[0]


@app.post("/predict_many")
async def predict_many(rows: list[Row]) -> list[Answer]:
    return answers(rows)
