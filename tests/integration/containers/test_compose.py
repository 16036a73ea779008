"""The Compose file with the real engine: the whole service, scaled, killed and looked into."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from container_engine import EngineError

from tests.support.compose import Composed, composed
from tests.support.images import Images
from tests.support.rows import PATIENT, distinct_rows, keras_predictions, shipped
from tests.support.steady import steady
from tests.support.tables import (
    check_result,
    csv_body,
    follow,
    keras_probabilities,
    submit,
    table,
)

PORT = 5100
RATE = 50.0
ROWS = 200_000
SERVICES = ("rabbitmq", "web", "recorder", "worker")
KILLED = ("worker", "rabbitmq", "recorder")


@pytest.fixture(scope="module")
def service(images: Images) -> Iterator[Composed]:
    with composed(images, "composed", PORT) as running:
        yield running


def test_a_thousand_rows_are_answered_as_by_keras(service: Composed) -> None:
    registry, card = shipped()
    rows = distinct_rows(card, 1000)
    answer = httpx.post(f"{service.url}/predict", json=rows, timeout=60)
    assert answer.status_code == 200, answer.text
    answers = [one["probability"] for one in answer.json()["predictions"]]
    expected = keras_predictions(registry, card, rows)[:, 0]
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_every_container_becomes_healthy(service: Composed) -> None:
    states = {}
    until = time.monotonic() + 60
    while set(states.values()) != {"healthy"}:
        assert time.monotonic() < until, states
        time.sleep(1)
        states = {
            name: service.engine.inspect(service.containers(name)[0])["State"]["Health"]["Status"]
            for name in SERVICES
        }


@pytest.mark.long
def test_a_worker_that_hangs_is_not_healthy(service: Composed) -> None:
    (container,) = service.containers("worker")
    service.kill(container, signal.SIGSTOP)
    until = time.monotonic() + 150
    while service.engine.inspect(container)["State"]["Health"]["Status"] != "unhealthy":
        assert time.monotonic() < until
        time.sleep(2)
    service.kill(container, signal.SIGCONT)
    while service.engine.inspect(container)["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < until + 60
        time.sleep(2)


def test_scaling_to_three_workers_and_back_fails_no_request(service: Composed) -> None:
    with steady(service.url, PATIENT, RATE) as requests:
        requests.more(50)
        service.scale(3)
        requests.wait_for(lambda: taking_tasks(service) == 3, 60)
        requests.more(100)
        service.scale(1)
        requests.wait_for(lambda: taking_tasks(service) == 1, 60)
        requests.more(100)
    assert requests.failures == []


def taking_tasks(service: Composed) -> int:
    """The number of workers that answer."""
    header = {"Authorization": f"Bearer {service.token}"}
    return len(httpx.get(f"{service.url}/alive", headers=header, timeout=10).json()["workers"])


def test_killed_containers_come_back_and_jobs_lose_nothing(service: Composed) -> None:
    registry, card = shipped()
    values = table(card, ROWS)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        job = submit(client, csv_body(card, values))["id"]
        for name in KILLED:
            service.kill(service.containers(name)[0])
            time.sleep(1)
        assert follow(client, job, timeout=180)["state"] == "done"
        check_result(client, job, keras_probabilities(registry, card, values))
        service.wait_ready()
        assert client.post("/predict", json=PATIENT).status_code == 200
    again = [service.engine.inspect(service.containers(name)[0]) for name in KILLED]
    assert [container["RestartCount"] for container in again] == [1, 1, 1]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_next_to_nothing(service: Composed, name: str) -> None:
    found = service.engine.inspect(service.containers(name)[0])
    lines = Path(f"/proc/{found['State']['Pid']}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    assert int(status["Uid"].split()[0]) >= 10001
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["Memory"] > 0


def test_no_secret_is_in_what_docker_shows(service: Composed) -> None:
    password = urlsplit(service.secret("stackserve_broker_url")).password
    assert password and len(password) > 30
    ids = [one for name in ("secrets", *SERVICES) for one in service.containers(name)]
    shown = [json.dumps(service.engine.inspect(container)) for container in ids]
    shown += [service.run("config"), service.run("logs", "--no-color")]
    shown += [
        service.engine.docker("history", "--no-trunc", image)
        for image in service.variables.values()
        if image.startswith("stackserve:")
    ]
    assert [text[:200] for text in shown if password in text] == []


def test_only_the_web_tier_is_reachable_from_outside(service: Composed) -> None:
    published = [
        service.engine.inspect(service.containers(name)[0])["NetworkSettings"]["Ports"]
        for name in SERVICES
    ]
    outside = [port for ports in published for port, bound in ports.items() if bound]
    assert outside == ["5100/tcp"]
    # Not even another container of the same engine reaches RabbitMQ.
    broker = service.engine.inspect(service.containers("rabbitmq")[0])
    (network,) = broker["NetworkSettings"]["Networks"].values()
    connect = f"import socket; socket.create_connection(({network['IPAddress']!r}, 5672), 3)"
    base = service.variables["STACKSERVE_BROKER_IMAGE"]
    with pytest.raises(EngineError, match=r"timed out|unreachable|No route"):
        service.engine.docker("run", "--rm", "--entrypoint=python3", base, "-c", connect)
