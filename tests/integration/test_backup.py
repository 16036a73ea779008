"""Backup and restore of real services: every job and result comes back, byte for byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from production_server.jobs.records import Receipt
from production_server.jobs.store import Store
from production_server.local import rabbitmq
from production_server.model.registry import Registry
from tests.support.rows import shipped
from tests.support.service import ROOT, Service
from tests.support.tables import CSV, csv_body, follow, get_job, submit, table, wait_for_chunks

pytestmark = pytest.mark.timeout(300)
FORMATS = ("csv", "json")
ROWS, LONG = 2_000, 12_000


def results(client: httpx.Client, job: str) -> list[bytes]:
    answers = [client.get(f"/jobs/{job}/result", params={"format": name}) for name in FORMATS]
    assert [answer.status_code for answer in answers] == [200, 200]
    return [answer.content for answer in answers]


def verb(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "production_server", *arguments],
        cwd=ROOT,
        env=service.environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="embedded"),
        pytest.param(("--services",), id="services", marks=pytest.mark.long),
    ],
)
def test_a_wiped_service_comes_back(
    arguments: tuple[str, ...], tmp_path: Path, needs: Callable[[object, str], None]
) -> None:
    if arguments:
        needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    _, card = shipped()
    file = tmp_path / "backup.tar.gz"
    settings = {"STACKSERVE_CHUNK_ROWS": "100", "STACKSERVE_WORKERS": "1"}
    small, large = csv_body(card, table(card, ROWS)), csv_body(card, table(card, LONG, seed=5))
    key = {"Idempotency-Key": "the-small-one"}
    with Service(tmp_path / "service", *arguments, settings=settings) as service:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            done = submit(client, small, **key)["id"]
            follow(client, done)
            before, seen = results(client, done), get_job(client, done)
            running = submit(client, large)["id"]
            wait_for_chunks(client, running, 1)
            saved = service.verb("backup", str(file))
            assert saved == f"{file}: 2 jobs, model diabetes-1\n"
            refused = verb(service, "restore", str(file), "--yes")
            assert refused.returncode == 1 and "the service is running" in refused.stderr
            follow(client, running, timeout=200)
            expected = results(client, running)
        assert service.stop() == 0
        shutil.rmtree(service.home)
        assert service.verb("restore", str(file)) == "restored: 2 jobs, model diabetes-1\n"
        service.start()
        with httpx.Client(base_url=service.url, timeout=60) as client:
            assert results(client, done) == before
            assert get_job(client, done) == seen
            again = client.post("/jobs", content=small, headers={**CSV, **key})
            assert (again.status_code, again.json()["id"]) == (200, done)
            # What was unfinished when it was saved is finished now.
            assert follow(client, running, timeout=200)["state"] == "done"
            assert results(client, running) == expected
            assert client.post("/jobs", content=small, headers=CSV).status_code == 202
        assert service.stop() == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert Registry(service.home / "models").active() == card.version


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_backup_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "backup.tar.gz"
    store = Store(f"sqlite:///{home / 'jobs.sqlite3'}")
    job = store.begin("diabetes-1", {})
    for part in range(16):
        store.stage(job, part, 1, os.urandom(4_000_000))
    store.accept(job, Receipt(16, 16, None, "", 0, [], []), 10)
    store.close()
    process = subprocess.Popen(
        [sys.executable, "-m", "production_server", "backup", str(file)],
        cwd=ROOT,
        env={**os.environ, "STACKSERVE_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    part = tmp_path / "backup.tar.gz.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 1_000_000):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(30) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not [path for path in home.iterdir() if path.name.startswith(".backup-")]
