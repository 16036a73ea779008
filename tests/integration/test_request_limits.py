"""The real service with a limit for each client, IDs of requests, and both logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.poisoned_worker import FAILING
from tests.support.rows import shipped
from tests.support.service import Service, operator
from tests.support.tables import csv_body, follow, submit, table

RATE = 2
LINE = re.compile(r"stackserve\.requests: (\{.*\})")
BURST = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "STACKSERVE_ACCESS": "token",
        "STACKSERVE_RATE_LIMIT": str(RATE),
        "STACKSERVE_REQUEST_LOG": "on",
    }
    with Service(tmp_path_factory.mktemp("limits"), settings=settings) as running:
        yield running


def row() -> dict[str, float]:
    return {feature.name: feature.default for feature in shipped()[1].features}


def lines(service: Service) -> list[dict[str, Any]]:
    text = service.output.read_text(errors="replace")
    return [json.loads(found) for found in LINE.findall(text)]


def let_in(service: Service) -> dict[str, str]:
    """The header of a new token, once its address has room for it again."""
    headers = operator(service.home)
    deadline = time.monotonic() + 30
    while httpx.get(f"{service.url}/jobs", headers=headers).status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return headers


def used_up(client: httpx.Client, path: str = "/predict", **more: Any) -> httpx.Response:
    """Send until a request is refused, and return the refusal."""
    for _ in range(20 * BURST):
        answer = client.get(path, **more)
        if answer.status_code == 429:
            return answer
    raise AssertionError("no request was refused")


def test_a_token_has_a_limit_on_every_route(service: Service) -> None:
    headers = let_in(service)
    with httpx.Client(base_url=service.url, headers=headers) as client:
        refused = used_up(client, params=row())
        assert refused.headers["content-type"] == "application/problem+json"
        problem = refused.json()
        assert problem["code"] == "too_many_requests"
        assert problem["remedy"]
        assert problem["request_id"] == refused.headers["x-request-id"]
        for path in ("/jobs", "/predictions", "/metrics", "/nothing"):
            assert client.get(path).status_code == 429, path
        assert client.get("/ping").status_code == 200
        assert client.get("/ready").status_code == 200
        time.sleep(int(refused.headers["retry-after"]))
        assert client.get("/predict", params=row()).status_code == 200
    with httpx.Client(base_url=service.url, headers=let_in(service)) as other:
        assert other.get("/predict", params=row()).status_code == 200
        failures = other.get("/metrics").text
    assert re.search(r'stackserve_failures_total\{code="too_many_requests"\} [1-9]', failures)


def test_guesses_are_limited_by_address_and_tokens_in_use_go_on(service: Service) -> None:
    headers = let_in(service)
    with httpx.Client(base_url=service.url) as client:
        assert client.get("/predict", params=row(), headers=headers).status_code == 200
        wrong = {"Authorization": f"Bearer st_01234567_{'x' * 43}"}
        refused = used_up(client, headers=wrong)
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/jobs", headers=wrong).status_code == 429
        assert client.get("/predictions").status_code == 429
        assert client.get("/predict", params=row(), headers=headers).status_code == 200


def test_the_log_has_a_line_for_each_request_and_no_value_or_token(service: Service) -> None:
    headers = let_in(service) | {"X-Request-Id": "logged.1"}
    values = row() | {"glucose": 123.4567}
    with httpx.Client(base_url=service.url, headers=headers) as client:
        assert client.get("/predict", params=values).status_code == 200
        client.get("/jobs/" + "7" * 32, headers={"X-Request-Id": "logged.2"})
        client.get("/predict", params={"glucose": "x"}, headers={"X-Request-Id": 'bad"\tid'})
    found = {line["id"]: line for line in lines(service)}
    assert found["logged.1"]["route"] == "/predict"
    assert found["logged.1"]["who"].startswith("token:")
    assert found["logged.1"]["address"] == "127.0.0.1"
    assert found["logged.1"]["ms"] > 0
    assert (found["logged.2"]["route"], found["logged.2"]["status"]) == ("/jobs/<job_id>", 404)
    text = service.output.read_text(errors="replace")
    for secret in ("123.4567", "7" * 32, headers["Authorization"][7:], 'bad"'):
        assert secret not in text


def test_who_finds_a_failed_request_in_the_log_of_the_worker(tmp_path: Path) -> None:
    command = ("-m", "tests.support.poisoned_worker")
    logged = {"STACKSERVE_REQUEST_LOG": "on"}
    with Service(tmp_path, command=command, settings=logged) as running:
        _, card = shipped()
        bad = {**row(), card.features[4].name: FAILING}
        with httpx.Client(base_url=running.url, timeout=30) as client:
            answer = client.post("/predict", json=bad, headers={"X-Request-Id": "from.browser"})
            assert answer.status_code == 503
            assert answer.json()["request_id"] == "from.browser"
            client.headers["X-Request-Id"] = "made.job"
            rows = table(card, 10)
            rows[3][4] = FAILING
            job = submit(client, csv_body(card, rows))["id"]
            client.headers["X-Request-Id"] = "follows"
            done = follow(client, job)
            assert (done["state"], done["request_id"]) == ("failed", "made.job")
        log = running.output.read_text(errors="replace")
    assert re.search(r"a prediction failed; its requests: .*from\.browser", log)
    assert f"chunk 0 of job {job}, which request made.job made" in log
    (line,) = [found for found in lines(running) if found["id"] == "from.browser"]
    assert (line["status"], line["route"]) == (503, "/predict")
