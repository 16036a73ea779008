"""Predictions on the whole service: each request gets its answer, despite kills and restarts."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from production_server.local.rabbitmq import RabbitNode
from tests.support.rows import distinct_rows, keras_predictions, shipped
from tests.support.service import Service

THREADS = 64


@pytest.fixture
def on_rabbit(rabbit: RabbitNode, tmp_path: Path) -> Service:
    """A service whose broker the test can restart."""
    settings = {
        "STACKSERVE_BROKER_URL": rabbit.url,
        "STACKSERVE_WEB_PROCESSES": "2",
        "STACKSERVE_WORKERS": "2",
        "STACKSERVE_DEADLINE": "4",
    }
    return Service(tmp_path / "service", "--services", settings=settings)


def test_2000_rows_from_64_threads_each_get_their_own_prediction(services: Service) -> None:
    registry, card = shipped()
    rows = distinct_rows(card, 2000)
    with httpx.Client(base_url=services.url, timeout=30, limits=_limits()) as client:

        def ask(row: dict[str, float]) -> float:
            answer = client.post("/predict", json=row)
            assert answer.status_code == 200, answer.text
            body = answer.json()
            assert body["version"] == card.version
            return float(body["predictions"][0]["probability"])

        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(ask, rows))
    expected = keras_predictions(registry, card, rows)[:, 0]
    assert len(set(np.round(expected, 6))) > 1500
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_one_request_with_many_rows(services: Service) -> None:
    registry, card = shipped()
    rows = distinct_rows(card, 5000)
    answer = httpx.post(f"{services.url}/predict", json=rows, timeout=30)
    assert answer.status_code == 200
    answers = [prediction["probability"] for prediction in answer.json()["predictions"]]
    np.testing.assert_allclose(answers, keras_predictions(registry, card, rows)[:, 0], atol=1e-5)


def test_worker_kill_and_broker_restart_give_correct_predictions_or_503(
    on_rabbit: Service, rabbit: RabbitNode
) -> None:
    registry, card = shipped()
    rows = distinct_rows(card, 400)
    expected = keras_predictions(registry, card, rows)[:, 0]
    seen: Counter[int] = Counter()
    stop = threading.Event()

    with on_rabbit, httpx.Client(base_url=on_rabbit.url, timeout=30, limits=_limits()) as client:

        def ask(first: int) -> None:
            index = first
            while not stop.is_set():
                row, index = rows[index % len(rows)], index + 8
                answer = client.post("/predict", json=row)
                seen[answer.status_code] += 1
                if answer.status_code == 200:
                    probability = answer.json()["predictions"][0]["probability"]
                    assert abs(probability - expected[(index - 8) % len(rows)]) < 1e-5
                else:
                    assert answer.status_code == 503, answer.text
                    assert answer.headers["Retry-After"]
                    assert answer.json()["code"] == "queue_unavailable"

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask, number) for number in range(8)]
            try:
                time.sleep(2)
                os.kill(on_rabbit.processes("worker")[0].pid, signal.SIGKILL)
                time.sleep(3)
                rabbit.kill()
                rabbit.start()
                on_rabbit.wait_ready()
                before = seen[200]
                time.sleep(3)
            finally:
                stop.set()
            for client_thread in clients:
                client_thread.result(timeout=30)
        assert set(seen) <= {200, 503}
        assert seen[200] - before > 20, "it did not recover after the broker came back"
        on_rabbit.wait_ready()


def _limits() -> httpx.Limits:
    return httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
