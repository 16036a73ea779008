"""RabbitMQ stops accepting messages: requests fail at once with the reason, and jobs wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from production_server.local.rabbitmq import RabbitNode
from tests.support.broker import lift_alarm, rabbitmqctl, raise_alarm
from tests.support.rows import distinct_rows, shipped
from tests.support.service import Service, operator

CSV = {"Content-Type": "text/csv"}
ROW = distinct_rows(shipped()[1], 1)[0]
DEADLINE = 6.0


@pytest.fixture
def service(rabbit: RabbitNode, tmp_path: Path) -> Service:
    settings = {
        "STACKSERVE_BROKER_URL": rabbit.url,
        "STACKSERVE_WEB_PROCESSES": "2",
        "STACKSERVE_WORKERS": "1",
        "STACKSERVE_DEADLINE": str(DEADLINE),
        "STACKSERVE_CHUNK_ROWS": "100",
    }
    return Service(tmp_path / "service", "--services", settings=settings)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def pids(service: Service) -> list[int]:
    verbs = ("web", "worker", "recorder")
    return sorted(process.pid for verb in verbs for process in service.processes(verb))


def gauge(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    found = [line.split() for line in lines if line.startswith("stackserve_broker_blocked ")]
    assert len(found) == 1
    return float(found[0][1])


def assert_blocked(service: Service, reason: str) -> None:
    # Each request has its own connection, so both web processes get some.
    for _ in range(12):
        began = time.monotonic()
        answer = httpx.get(f"{service.url}/predict", params=ROW, timeout=30)
        assert answer.status_code == 503, answer.text
        assert time.monotonic() - began < DEADLINE / 2
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["code"] == "queue_blocked"
        assert reason in answer.json()["detail"]
    began = time.monotonic()
    ready = httpx.get(f"{service.url}/ready", timeout=30, headers=operator(service.home))
    assert ready.status_code == 503
    assert time.monotonic() - began < 1
    body = ready.json()
    assert body["code"] == "not_ready" and reason in body["detail"] and body["remedy"]
    assert body["checks"]["broker"]["ok"] is False
    assert body["checks"]["store"]["ok"] is True
    public = httpx.get(f"{service.url}/ready", timeout=30).json()
    assert (public["ready"], public["detail"]) == (False, body["detail"])
    assert "checks" not in public


def test_an_alarm_is_told_and_lifted_without_a_restart(
    rabbit: RabbitNode, service: Service
) -> None:
    with service:
        everything = operator(service.home)
        client = httpx.Client(base_url=service.url, timeout=30, headers=everything)
        assert client.get("/predict", params=ROW).status_code == 200
        assert gauge(client) == 0
        before = pids(service)
        sample = client.get("/predictions/sample.csv").content

        raise_alarm(rabbit, "disk")
        # Noticed without a request.
        wait_for(lambda: gauge(client) == 1, 10)
        assert_blocked(service, "low on disk")
        accepted = client.post("/jobs", content=sample, headers=CSV)
        assert accepted.status_code == 202
        job = accepted.headers["Location"]
        # The workers cannot be asked now. Earlier, this request waited for the end of the alarm.
        assert client.get("/alive", timeout=5).json()["broker_alarm"] == "low on disk"
        time.sleep(1)
        assert client.get(job).json()["state"] in ("queued", "running")

        lift_alarm(rabbit, "disk")
        wait_for(lambda: client.get("/ready").status_code == 200, 10)
        assert client.get("/predict", params=ROW).status_code == 200
        wait_for(lambda: client.get(job).json()["state"] == "done", 20)
        result = client.get(f"{job}/result").text.splitlines()
        assert [line.split(",")[0] for line in result[1:]] == [str(row) for row in range(1000)]
        wait_for(lambda: gauge(client) == 0, 5)

        raise_alarm(rabbit, "memory")
        wait_for(lambda: gauge(client) == 1, 10)
        assert_blocked(service, "low on memory")
        # It must also stop during an alarm.
        began = time.monotonic()
        assert pids(service) == before
        service.stop()
        assert time.monotonic() - began < 30
        lift_alarm(rabbit, "memory")


@pytest.mark.long
def test_a_worker_keeps_its_chunk_during_a_long_alarm(rabbit: RabbitNode, service: Service) -> None:
    """It used to miss heartbeats, and the chunk then went from worker to worker.

    After three of them it would have counted as a chunk that kills its worker.
    """
    heartbeat = 3
    rabbitmqctl(rabbit, "eval", f"application:set_env(rabbit, heartbeat, {heartbeat}).")
    with service:
        everything = operator(service.home)
        client = httpx.Client(base_url=service.url, timeout=30, headers=everything)
        (worker,) = service.processes("worker")
        worker.suspend()
        sample = b"\n".join(client.get("/predictions/sample.csv").content.split(b"\n")[:11])
        job = client.post("/jobs", content=sample, headers=CSV).headers["Location"]
        wait_for(lambda: client.get(job).json()["state"] == "running", 5)
        raise_alarm(rabbit, "disk")
        worker.resume()
        time.sleep(5 * heartbeat)
        queues = rabbitmqctl(
            rabbit, "list_queues", "name", "messages_unacknowledged", "consumers"
        ).splitlines()
        assert "stackserve.jobs\t1\t1" in queues
        lift_alarm(rabbit, "disk")
        wait_for(lambda: client.get(job).json()["state"] == "done", 10)
