"""A full disk refuses new jobs and loses no accepted one. Predictions go on."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from production_server.jobs.space import reserve
from production_server.local import rabbitmq
from production_server.model.registry import SHIPPED, Registry
from tests.support.disks import MEGABYTE, SmallDisk
from tests.support.service import Service

CSV = {"Content-Type": "text/csv"}
CARD = Registry(SHIPPED).card(Registry(SHIPPED).versions()[-1])
ROW = {feature.name: feature.default for feature in CARD.features}


def test_a_full_disk(disk: SmallDisk) -> None:
    settings = {"STACKSERVE_CHUNK_ROWS": "20"}
    with Service(disk.path / "service", settings=settings) as service:
        client = httpx.Client(base_url=service.url, timeout=60)
        header, _, lines = client.get("/predictions/sample.csv").content.partition(b"\n")
        rows = header + b"\n" + lines * 10
        accepted = client.post("/jobs", content=rows, headers=CSV)
        assert accepted.status_code == 202, accepted.text
        job = accepted.json()
        disk.fill()
        assert disk.free() == 0

        refused = client.post("/jobs", content=rows, headers=CSV)
        assert refused.status_code == 507
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert refused.json()["code"] == "store_full"
        assert "free space" in refused.json()["remedy"]
        for _ in range(20):
            assert client.get("/predict", params=ROW).status_code == 200
            assert client.post("/predict", json=[ROW] * 3).status_code == 200
        time.sleep(2)
        address = accepted.headers["Location"]
        assert client.get(address).json()["state"] != "failed"

        disk.empty()
        give_up = time.monotonic() + 90
        while (found := client.get(address).json())["state"] != "done":
            assert found["state"] in ("queued", "running")
            assert time.monotonic() < give_up, found
            time.sleep(0.2)
        result = client.get(f"{address}/result?format=csv").text.splitlines()
        assert len(result) == job["rows"] + 1 == 10_001
        assert [int(line.partition(",")[0]) for line in result[1:]] == list(range(10_000))
        assert not any(line.split(",")[1] == "" for line in result[1:])
        assert client.post("/jobs", content=rows, headers=CSV).status_code == 202


def test_predictions_go_on_while_jobs_are_refused(
    needs: Callable[[object, str], None], disk: SmallDisk
) -> None:
    """RabbitMQ stops them only when next to nothing is left, and then says so."""
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    with Service(disk.path / "service", "--services", "--workers", "1") as service:
        client = httpx.Client(base_url=service.url, timeout=30)
        rows = client.get("/predictions/sample.csv").content
        disk.fill(leave=reserve(0) - MEGABYTE)
        time.sleep(3)  # RabbitMQ looks more often the less is left
        assert client.post("/jobs", content=rows, headers=CSV).status_code == 507
        assert client.get("/ready").status_code == 200
        assert client.get("/predict", params=ROW).status_code == 200

        disk.fill()
        wait_for(lambda: client.get("/predict", params=ROW).status_code == 503)
        refused = client.get("/predict", params=ROW)
        assert refused.json()["code"] == "queue_blocked"
        assert "low on disk" in refused.json()["detail"]
        assert "low on disk" in client.get("/ready").json()["detail"]

        disk.empty()
        wait_for(lambda: client.get("/ready").status_code == 200)
        assert client.get("/predict", params=ROW).status_code == 200
        accepted = client.post("/jobs", content=rows, headers=CSV)
        assert accepted.status_code == 202
        wait_for(lambda: client.get(accepted.headers["Location"]).json()["state"] == "done")


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.2)
