"""Jobs survive kills and restarts of every part, and no row is lost or doubled."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from production_server.local import rabbitmq
from production_server.local.console import Console
from production_server.local.rabbitmq import RabbitNode, free_port
from production_server.local.readiness import wait_until_ready
from production_server.local.supervisor import Supervisor
from production_server.settings import load_settings
from tests.support.poisoned_worker import DEADLY, FAILING
from tests.support.rows import shipped
from tests.support.service import Service, operator
from tests.support.tables import (
    check_result,
    csv_body,
    fetch_result,
    follow,
    get_job,
    keras_probabilities,
    submit,
    table,
    wait_for_chunks,
)

# Small chunks make a job with many messages, long enough to be interrupted.
CHUNK, ROWS = 100, 60_000
POISONED = "tests.support.poisoned_worker"
# Each takes half a minute on an idle machine. On a busy one, starting the processes takes as long.
pytestmark = pytest.mark.timeout(300)


class Parts:
    """A supervised web tier, two workers and the recorder, with a broker that tests can restart."""

    def __init__(self, folder: Path) -> None:
        self.broker = RabbitNode(folder / "rabbit")
        self.broker.start()
        self.settings = load_settings(
            home=folder / "home",
            broker_url=self.broker.url,
            port=free_port(),
            web_processes=1,
            chunk_rows=CHUNK,
        )
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.supervisor = Supervisor(self.settings.environment(), self.logs, Console())
        own = [sys.executable, "-m", "production_server"]
        for number in ("1", "2"):
            self.supervisor.add(f"worker-{number}", [sys.executable, "-m", POISONED, number])
        self.supervisor.add("recorder", [*own, "recorder"])
        self.supervisor.add("web", [*own, "web"])
        self._thread = threading.Thread(target=self.supervisor.run, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self.settings.port}"
        assert wait_until_ready(self.url, 240)

    def kill(self, name: str) -> None:
        os.kill(self.supervisor.pids()[name], signal.SIGKILL)

    def stop(self) -> None:
        self.supervisor.stop_soon()
        self._thread.join(timeout=60)
        self.broker.stop()


@pytest.fixture(scope="module")
def parts(
    needs: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parts]:
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    parts = Parts(tmp_path_factory.mktemp("parts"))
    yield parts
    parts.stop()


@pytest.fixture
def client(parts: Parts) -> Iterator[httpx.Client]:
    assert wait_until_ready(parts.url, 240), "the previous test left a part broken"
    with httpx.Client(
        base_url=parts.url, timeout=30, headers=operator(parts.settings.home)
    ) as client:
        yield client


@pytest.fixture(scope="module")
def expected() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    registry, card = shipped()
    return keras_probabilities(registry, card, table(card, ROWS))


def restart_broker(parts: Parts) -> None:
    parts.broker.stop()
    time.sleep(1)
    parts.broker.start()


def kill_broker(parts: Parts) -> None:
    parts.broker.kill()
    parts.broker.start()


def kill_twice(name: str) -> Callable[[Parts], None]:
    def kill(parts: Parts) -> None:
        parts.kill(name)
        deadline = time.monotonic() + 30
        while name not in parts.supervisor.pids() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        parts.kill(name)

    return kill


def kill_all(parts: Parts) -> None:
    for name in parts.supervisor.pids():
        parts.kill(name)
    parts.broker.kill()
    parts.broker.start()


@pytest.mark.parametrize(
    "interrupt",
    [
        restart_broker,
        kill_broker,
        kill_twice("worker-1"),
        kill_twice("recorder"),
        kill_twice("web"),
        kill_all,
    ],
    ids=["restart broker", "kill broker", "kill worker", "kill recorder", "kill web", "kill all"],
)
def test_job_survives(
    interrupt: Callable[[Parts], None],
    parts: Parts,
    client: httpx.Client,
    expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    _, card = shipped()
    job = submit(client, csv_body(card, table(card, ROWS)))["id"]
    wait_for_chunks(client, job, 20)
    assert get_job(client, job)["chunks_done"] < ROWS // CHUNK / 2, "the job is nearly done"
    interrupt(parts)
    assert wait_until_ready(parts.url, 120)
    ended = follow(client, job, timeout=100)
    assert ended["state"] == "done"
    assert (ended["rows_done"], ended["chunks_done"]) == (ROWS, ROWS // CHUNK)
    assert ended["chunks"] == ended["chunks_done"]
    check_result(client, job, expected)


def test_only_the_chunk_that_kills_its_worker_fails(parts: Parts, client: httpx.Client) -> None:
    registry, card = shipped()
    values = table(card, 12 * CHUNK)
    values[5 * CHUNK + 3, 4] = DEADLY
    job = submit(client, csv_body(card, values))["id"]
    ended = follow(client, job, timeout=100)
    assert ended["state"] == "failed"
    assert (ended["chunks_done"], ended["chunks_failed"]) == (11, 1)
    check_failed(client, job, values, 5, "the worker died each of the 3 times")
    assert client.get("/ready").status_code == 200 or wait_until_ready(parts.url, 60)
    healthy = submit(client, csv_body(card, table(card, 500)))["id"]
    assert follow(client, healthy)["state"] == "done"
    check_result(client, healthy, keras_probabilities(registry, card, table(card, 500)))


def test_chunk_with_a_model_error_fails_at_once(client: httpx.Client) -> None:
    _, card = shipped()
    values = table(card, 12 * CHUNK)
    values[2 * CHUNK, 4] = FAILING
    job = submit(client, csv_body(card, values))["id"]
    ended = follow(client, job)
    assert (ended["state"], ended["chunks_failed"]) == ("failed", 1)
    check_failed(client, job, values, 2, "ZeroDivisionError: this model divides by zero")


def test_the_log_of_a_worker_names_the_requests_that_failed(
    parts: Parts, client: httpx.Client
) -> None:
    _, card = shipped()
    values = table(card, 3)
    values[1, 4] = FAILING
    row = dict(zip(card.feature_names, values[1].tolist(), strict=True))
    answer = client.post("/predict", json=row, headers={"X-Request-Id": "one.row"})
    assert (answer.status_code, answer.json()["request_id"]) == (503, "one.row")
    job = submit(client, csv_body(card, values), **{"X-Request-Id": "a.table"})["id"]
    assert follow(client, job)["request_id"] == "a.table"
    text = "".join(log.read_text(errors="replace") for log in parts.logs.glob("worker-*.log"))
    assert re.search(r"a prediction failed; its requests: .*\bone\.row\b", text)
    assert f"chunk 0 of job {job}, which request a.table made" in text


def check_failed(
    client: httpx.Client,
    job: str,
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    chunk: int,
    reason: str,
) -> None:
    """Check that one chunk's rows have the reason, and all others their predictions."""
    registry, card = shipped()
    right = keras_probabilities(registry, card, values)
    for index, row in enumerate(fetch_result(client, job)):
        if index // CHUNK == chunk:
            assert reason in row["error"]
            assert row["probability"] == ""
        else:
            assert float(row["probability"]) == pytest.approx(right[index], abs=1e-5)


def test_cancelled_job_stops_and_frees_the_workers(parts: Parts, client: httpx.Client) -> None:
    _, card = shipped()
    job = submit(client, csv_body(card, table(card, ROWS)))["id"]
    wait_for_chunks(client, job, 5)
    assert client.delete(f"/jobs/{job}").json()["state"] == "cancelled"
    done = get_job(client, job)["chunks_done"]
    small = submit(client, csv_body(card, table(card, 100)))["id"]
    assert follow(client, small, timeout=10)["state"] == "done"
    assert get_job(client, job)["chunks_done"] == done


@pytest.mark.long
@pytest.mark.timeout(400)
def test_job_survives_the_loss_of_all_messages(
    parts: Parts,
    client: httpx.Client,
    expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    _, card = shipped()
    job = submit(client, csv_body(card, table(card, ROWS)))["id"]
    wait_for_chunks(client, job, 20)
    parts.broker.kill()
    shutil.rmtree(parts.broker.folder / "data")
    parts.broker.start()
    ended = follow(client, job, timeout=300)
    assert (ended["state"], ended["rows_done"]) == ("done", ROWS)
    check_result(client, job, expected)


def test_idle_recorder_uses_almost_no_cpu(parts: Parts, client: httpx.Client) -> None:
    assert not [job for job in client.get("/jobs").json()["jobs"] if job["finished"] is None]
    recorder = psutil.Process(parts.supervisor.pids()["recorder"])
    before, began = sum(recorder.cpu_times()[:2]), time.monotonic()
    time.sleep(10)
    used = sum(recorder.cpu_times()[:2]) - before
    assert used / (time.monotonic() - began) < 0.005


def test_small_job_overtakes_a_large_one(client: httpx.Client) -> None:
    _, card = shipped()
    large = submit(client, csv_body(card, table(card, ROWS)))["id"]
    small = submit(client, csv_body(card, table(card, 5 * CHUNK)))["id"]
    assert follow(client, small)["state"] == "done"
    assert get_job(client, large)["state"] == "running"
    client.delete(f"/jobs/{large}")


def test_job_in_one_process_survives_a_kill(
    tmp_path: Path, expected: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    _, card = shipped()
    with (
        Service(tmp_path, settings={"STACKSERVE_CHUNK_ROWS": str(CHUNK)}) as service,
        httpx.Client(base_url=service.url, timeout=30) as client,
    ):
        job = submit(client, csv_body(card, table(card, ROWS)))["id"]
        wait_for_chunks(client, job, 20)
        kill(service)
        service.start()
        ended = follow(client, job)
        assert (ended["state"], ended["rows_done"]) == ("done", ROWS)
        check_result(client, job, expected)


def test_only_the_deadly_chunk_fails_in_one_process(tmp_path: Path) -> None:
    _, card = shipped()
    values = table(card, 12 * CHUNK)
    values[5 * CHUNK + 3, 4] = DEADLY
    settings = {"STACKSERVE_CHUNK_ROWS": str(CHUNK)}
    service = Service(tmp_path, settings=settings, command=("-m", POISONED))
    with service, httpx.Client(base_url=service.url, timeout=30) as client:
        job = submit(client, csv_body(card, values))["id"]
        deaths = 0
        while True:
            try:
                ended = follow(client, job)
                break
            except httpx.HTTPError:
                deaths += restart(service)
        assert deaths == 3
        assert (ended["chunks_done"], ended["chunks_failed"]) == (11, 1)
        check_failed(client, job, values, 5, "the worker died each of the 3 times")


def kill(service: Service) -> None:
    assert service.process is not None
    service.process.kill()
    service.process.wait()


def restart(service: Service) -> int:
    """Start the service until it stays up; return how often it died."""
    deaths = 1
    while deaths < 9:
        try:
            service.start()
            break
        except AssertionError:
            deaths += 1
    return deaths
