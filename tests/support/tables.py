"""Tables for jobs: the rows as CSV, what Keras says of them, and following a job to its end."""

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
    """Plausible rows, no two alike, quickly made."""
    random = np.random.default_rng(seed)
    columns = [
        np.round(random.uniform(feature.low, feature.high, count), max(feature.decimals, 3))
        for feature in card.features
    ]
    return np.column_stack(columns)


def csv_pieces(card: Card, values: NDArray[np.float64], step: int = 5000) -> Iterator[bytes]:
    """The table as a CSV file, some thousand lines at a time."""
    yield (",".join(card.feature_names) + "\n").encode()
    for start in range(0, len(values), step):
        lines = [",".join(map(repr, row)) for row in values[start : start + step].tolist()]
        yield ("\n".join(lines) + "\n").encode()


def csv_body(card: Card, values: NDArray[np.float64]) -> bytes:
    return b"".join(csv_pieces(card, values))


def keras_probabilities(
    registry: Registry, card: Card, values: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The answers of model.predict, without any code of the service."""
    import keras

    model = keras.saving.load_model(registry.model_path(card.version))
    said = model.predict(values.astype(np.float32), verbose=0, batch_size=4096)
    return np.asarray(said)[:, 0]


def submit(client: httpx.Client, body: bytes, **headers: str) -> dict[str, Any]:
    answer = client.post("/jobs", content=body, headers={**CSV, **headers})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/jobs/{answer.json()['id']}"
    return dict(answer.json())


def look(client: httpx.Client, job: str) -> dict[str, Any]:
    answer = client.get(f"/jobs/{job}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def follow(client: httpx.Client, job: str, patience: float = 60) -> dict[str, Any]:
    """The job when it has ended; its progress never went back on the way."""
    give_up = time.monotonic() + patience
    settled = 0
    while True:
        state = look(client, job)
        now = state["rows_done"] + state["rows_failed"]
        assert now >= settled
        settled = now
        if state["state"] in ENDED:
            return state
        assert time.monotonic() < give_up, state
        time.sleep(0.05)


def wait_for_chunks(client: httpx.Client, job: str, least: int, patience: float = 60) -> None:
    """Until so many chunks are done: the job is in mid-run."""
    give_up = time.monotonic() + patience
    while (state := look(client, job))["chunks_done"] < least:
        assert time.monotonic() < give_up, state
        time.sleep(0.01)


def result(client: httpx.Client, job: str) -> list[dict[str, str]]:
    answer = client.get(f"/jobs/{job}/result", params={"format": "csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def check_result(client: httpx.Client, job: str, expected: NDArray[np.float32]) -> None:
    """Every row once, in order, with Keras' own answer."""
    rows = result(client, job)
    assert [int(row["row"]) for row in rows] == list(range(len(expected)))
    told = np.array([float(row["probability"]) for row in rows])
    np.testing.assert_allclose(told, expected, atol=1e-5)
