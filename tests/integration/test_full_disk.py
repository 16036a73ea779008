"""A full disk refuses new jobs and loses no accepted one. Predictions and deletions go on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

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


def test_jobs_are_deleted_on_a_full_disk(disk: SmallDisk) -> None:
    with Service(disk.path / "service") as service:
        client = httpx.Client(base_url=service.url, timeout=60)
        rows = wide_table(300_000)
        jobs = [client.post("/jobs", content=rows, headers=CSV).headers["Location"] for _ in "ab"]
        wait_for(lambda: all(client.get(job).json()["state"] == "done" for job in jobs))
        cancelled = client.post("/jobs", content=rows, headers=CSV).headers["Location"]
        database = service.home / "jobs.sqlite3"
        ballast = database.with_name("jobs.sqlite3-ballast")
        wait_for(ballast.exists)
        disk.fill()
        assert disk.free() == 0

        assert client.delete(cancelled).status_code in (200, 204)
        assert client.delete(jobs[0]).status_code == 204
        assert client.get(jobs[0]).status_code == 404
        # The file shrinks, and the ballast is there for the next time.
        size = database.stat().st_size
        wait_for(lambda: database.stat().st_size < size // 2 and ballast.exists())
        disk.fill()
        assert client.get(f"{jobs[1]}/result?format=csv").text.count("\n") == 300_001
        assert client.delete(jobs[1]).status_code == 204
        assert client.get(jobs[1]).status_code == 404
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def wide_table(rows: int) -> bytes:
    names = [feature.name for feature in CARD.features]
    line = ",".join(str(ROW[name]) for name in names)
    return ("\n".join([",".join(names), *[line] * rows]) + "\n").encode()


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.2)
