"""Activating another version under load: no request fails, no answer mixes versions."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from production_server.model.card import Card
from production_server.model.registry import Registry
from tests.support.rows import distinct_rows, keras_predictions, shipped
from tests.support.service import Service

ROWS_PER_REQUEST = 20
SWITCH_SECONDS = 30


def changed_model(registry: Registry, card: Card, folder: Path) -> Path:
    """The shipped model with other weights, so that all its predictions differ."""
    import keras

    model = keras.saving.load_model(registry.model_path(card.version))
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + 0.7])
    path = folder / "changed.keras"
    model.save(path)
    return path


def test_activating_another_version_under_load(services: Service, tmp_path: Path) -> None:
    registry, card = shipped()
    own = Registry(services.home / "models")
    other = own.add(card, changed_model(registry, card, tmp_path))
    rows = distinct_rows(card, 200)
    expected: dict[str, NDArray[np.float32]] = {
        version: keras_predictions(own, own.card(version), rows)[:, 0]
        for version in (card.version, other.version)
    }
    assert np.abs(expected[card.version] - expected[other.version]).min() > 1e-4  # tolerance: 1e-5
    answered: list[str] = []
    stop = threading.Event()

    with httpx.Client(base_url=services.url, timeout=30) as client:

        def ask(first: int) -> None:
            at = first
            while not stop.is_set():
                at = (at + ROWS_PER_REQUEST) % (len(rows) - ROWS_PER_REQUEST)
                answer = client.post("/predict", json=rows[at : at + ROWS_PER_REQUEST])
                assert answer.status_code == 200, answer.text
                body = answer.json()
                answers = [prediction["probability"] for prediction in body["predictions"]]
                right = expected[body["version"]][at : at + ROWS_PER_REQUEST]
                np.testing.assert_allclose(answers, right, atol=1e-5)
                answered.append(body["version"])

        def switch(version: str) -> None:
            services.verb("models", "activate", version)
            deadline = time.monotonic() + SWITCH_SECONDS
            while answered[-20:] != [version] * 20:
                assert time.monotonic() < deadline, f"{version} never took effect"
                time.sleep(0.1)

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask, number) for number in range(8)]
            try:
                while len(answered) < 50:
                    time.sleep(0.05)
                switch(other.version)
                switch(card.version)
            finally:
                stop.set()
            for client_thread in clients:
                client_thread.result(timeout=30)
    assert set(answered) == {card.version, other.version}
