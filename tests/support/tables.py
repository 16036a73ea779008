"""Tables for jobs: rows as CSV, the predictions of Keras, and helpers that follow a job."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card
from production_server.model.registry import Registry

CSV = {"Content-Type": "text/csv"}
ENDED = ("done", "failed", "cancelled")


def table(card: Card, count: int, seed: int = 11) -> NDArray[np.float64]:
    """Random plausible rows, fast to generate."""
    random = np.random.default_rng(seed)
    columns = [
        np.round(random.uniform(feature.low, feature.high, count), max(feature.decimals, 3))
        for feature in card.features
    ]
    return np.column_stack(columns)


def csv_pieces(card: Card, values: NDArray[np.float64], step: int = 5000) -> Iterator[bytes]:
    """The table as a CSV file, in chunks of `step` lines."""
    yield (",".join(card.feature_names) + "\n").encode()
    for start in range(0, len(values), step):
        lines = [",".join(map(repr, row)) for row in values[start : start + step].tolist()]
        yield ("\n".join(lines) + "\n").encode()


def csv_body(card: Card, values: NDArray[np.float64]) -> bytes:
    return b"".join(csv_pieces(card, values))


def keras_probabilities(
    registry: Registry, card: Card, values: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The predictions of model.predict, without any code of the service."""
    import keras

    model = keras.saving.load_model(registry.model_path(card.version))
    outputs = model.predict(values.astype(np.float32), verbose=0, batch_size=4096)
    return np.asarray(outputs)[:, 0]


def submit(client: httpx.Client, body: bytes, **headers: str) -> dict[str, Any]:
    response = client.post("/jobs", content=body, headers={**CSV, **headers})
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == f"/jobs/{response.json()['id']}"
    return dict(response.json())


def get_job(client: httpx.Client, job: str) -> dict[str, Any]:
    response = client.get(f"/jobs/{job}")
    assert response.status_code == 200, response.text
    return dict(response.json())


def follow(
    client: httpx.Client, job: str, timeout: float = 60, pause: float = 0.05
) -> dict[str, Any]:
    """Wait until a job ends; check that its progress never decreases."""
    deadline = time.monotonic() + timeout
    progress = 0
    while True:
        state = get_job(client, job)
        now = state["rows_done"] + state["rows_failed"]
        assert now >= progress
        progress = now
        if state["state"] in ENDED:
            return state
        assert time.monotonic() < deadline, state
        time.sleep(pause)


def wait_for_chunks(
    client: httpx.Client, job: str, minimum: int, timeout: float = 60, pause: float = 0.01
) -> None:
    """Wait until at least this many chunks are done."""
    deadline = time.monotonic() + timeout
    while (state := get_job(client, job))["chunks_done"] < minimum:
        assert time.monotonic() < deadline, state
        time.sleep(pause)


def fetch_result(client: httpx.Client, job: str) -> list[dict[str, str]]:
    response = client.get(f"/jobs/{job}/result", params={"format": "csv"})
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text)))


def check_result(client: httpx.Client, job: str, expected: NDArray[np.float32]) -> None:
    """Check that the result has every row once, in order, with the prediction of Keras."""
    rows = fetch_result(client, job)
    assert [int(row["row"]) for row in rows] == list(range(len(expected)))
    probabilities = np.array([float(row["probability"]) for row in rows])
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
