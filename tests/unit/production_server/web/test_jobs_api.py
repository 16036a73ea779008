"""What the routes of jobs answer when the store is away or full, or all threads are taken."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from production_server.jobs.acceptance import Upload
from production_server.jobs.acceptance import accept as accept_one
from production_server.jobs.engine import open_engine
from production_server.jobs.records import Job, Outcome
from production_server.jobs.store import Store
from production_server.model.registry import SHIPPED, Registry
from production_server.settings import Settings
from production_server.web import access, jobs_api, problems
from production_server.web.uploads import DISCONNECTED, MOST_UPLOADS
from tests.unit.production_server.web.callers import make_access

CSV = "text/csv"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.sqlite3'}"


@pytest.fixture
def client(url: str) -> Iterator[FlaskClient]:
    registry = Registry(SHIPPED)
    card = registry.card(registry.versions()[-1])
    store = Store(url)
    services: Any = SimpleNamespace(
        store=store,
        settings=Settings(max_queued_jobs=2),
        card=lambda: card,
        access=make_access(),
    )
    app = Flask("jobs")
    problems.install(app)
    app.register_blueprint(jobs_api.blueprint(services))
    access.install(app, services.access)
    yield app.test_client()
    store.close()


@pytest.fixture
def rows() -> bytes:
    registry = Registry(SHIPPED)
    card = registry.card(registry.versions()[-1])
    values = ",".join(str(feature.default) for feature in card.features)
    return f"{','.join(card.feature_names)}\n{values}\n".encode()


def test_too_many_unfinished_jobs(client: FlaskClient, rows: bytes) -> None:
    made = [client.post("/jobs", data=rows, content_type=CSV) for _ in range(2)]
    assert [answer.status_code for answer in made] == [202, 202]
    refused = client.post("/jobs", data=rows, content_type=CSV)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.get_json()["code"] == "too_many_jobs"
    assert client.delete(made[0].headers["Location"]).get_json()["state"] == "cancelled"
    assert client.post("/jobs", data=rows, content_type=CSV).status_code == 202


def test_a_job_that_is_done_by_now_is_not_removed_by_a_cancel(
    client: FlaskClient, url: str, rows: bytes
) -> None:
    made = [client.post("/jobs", data=rows, content_type=CSV) for _ in range(2)]
    done, running = (answer.headers["Location"] for answer in made)
    store = Store(url)
    store.record(done.rpartition("/")[2], 0, Outcome(outputs=b"\0\0\0\0"))
    store.close()
    late = client.delete(f"{done}?keep_result=true")
    assert (late.status_code, late.get_json()["state"]) == (200, "done")
    assert client.get(f"{done}/result").status_code == 200
    in_time = client.delete(f"{running}?keep_result=true")
    assert (in_time.status_code, in_time.get_json()["state"]) == (200, "cancelled")
    assert client.delete(done).status_code == 204
    assert client.get(done).status_code == 404


def test_a_store_that_fails(client: FlaskClient, url: str, rows: bytes) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE chunks"))
        connection.execute(text("DROP TABLE jobs"))
    engine.dispose()
    answers = [
        client.post("/jobs", data=rows, content_type=CSV),
        client.get("/jobs"),
        client.get("/jobs/x"),
        client.delete("/jobs/x"),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert answer.get_json()["code"] == "store_unavailable"
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize("addresses", [["10.0.0.1", "10.0.0.2"], ["10.0.0.1"]])
def test_more_uploads_than_threads_or_than_one_address_may_have(
    client: FlaskClient, rows: bytes, addresses: list[str]
) -> None:
    most = MOST_UPLOADS // 2 * len(addresses)
    waiting, go = threading.Barrier(most + 1), threading.Event()

    class Slow:
        def __init__(self) -> None:
            self.left = rows

        def read(self, size: int) -> bytes:
            if self.left == rows:
                waiting.wait(10)
                go.wait(10)
            piece, self.left = self.left[:size], self.left[size:]
            return piece

    seen: list[int] = []

    def send(address: str, body: Any) -> Any:
        environ = {"wsgi.input": body, "REMOTE_ADDR": address}
        answer = client.application.test_client().post(
            "/jobs", data=rows, content_type=CSV, environ_overrides=environ
        )
        seen.append(answer.status_code)
        return answer

    threads = [
        threading.Thread(target=send, args=(addresses[number % len(addresses)], Slow()))
        for number in range(most)
    ]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    refused = send(addresses[0], io.BytesIO(rows))
    other = send("10.0.0.3", io.BytesIO(rows))
    go.set()
    for thread in threads:
        thread.join()
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_uploads")
    only_one = len(addresses) == 1
    assert ("your address" in refused.get_json()["detail"]) == only_one
    assert other.status_code == (202 if only_one else 429)
    assert sorted(set(seen)) == [202, 429], "the others are many jobs at once: 2 are allowed"
    assert seen.count(202) == 2


def test_one_upload_at_a_time_is_worked_on(
    client: FlaskClient, rows: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the event loop would wait for the turns of all of them."""
    working: list[object] = []
    most: list[int] = []

    def accept(store: Store, upload: Upload, *others: Any) -> Job:
        for _ in upload.body:
            working.append(upload)
            most.append(len(working))
            time.sleep(0.02)
            working.remove(upload)
        return accept_one(store, upload, *others)

    monkeypatch.setattr(jobs_api, "accept", accept)
    test_client = client.application.test_client
    threads = [
        threading.Thread(target=lambda: test_client().post("/jobs", data=rows, content_type=CSV))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) >= 4 and max(most) == 1


@pytest.mark.parametrize("length", [10_000, None])
def test_a_body_that_ends_too_early(length: int | None, client: FlaskClient, rows: bytes) -> None:
    answer = client.post(
        "/jobs",
        input_stream=io.BytesIO(rows),
        content_type=CSV,
        content_length=length,
        environ_overrides={"asgi.scope": {DISCONNECTED: True}},
    )
    assert answer.status_code == 400
    assert answer.get_json()["code"] == "incomplete_body"
    assert client.get("/jobs").get_json()["jobs"] == []
