"""New versions over HTTP: uploads and trainings, while the service goes on answering."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from production_server.local import rabbitmq
from production_server.model import cohort
from production_server.model.registry import SHIPPED, Registry
from tests.support.other_models import DATA
from tests.support.service import Service, operator
from tests.support.steady import Steady, steady

VERSION = Registry(SHIPPED).versions()[-1]
CARD = Registry(SHIPPED).card(VERSION)
ROW = {feature.name: feature.default for feature in CARD.features}
PAIR = DATA / "keras_models" / "keras_2_1"
CSV = {"Content-Type": "text/csv"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    if not rabbitmq.installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    settings = {"STACKSERVE_WEB_PROCESSES": "1", "STACKSERVE_WORKERS": "1"}
    with Service(tmp_path_factory.mktemp("new"), "--services", settings=settings) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, headers=operator(service.home), timeout=120) as opened:
        yield opened


def as_tar(folder: Path, change: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            data = path.read_bytes() + (change if path.suffix == ".keras" else b"")
            member = tarfile.TarInfo(f"{folder.name}/{path.name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def table(rows: int) -> str:
    """Synthetic rows with their classes."""
    lines = [",".join([*CARD.feature_names, CARD.outcome])]
    for row, label in cohort.sample(CARD, rows, seed=3):
        values = [f"{value:g}" for value in row.values()]
        lines.append(",".join([*values, str(CARD.classes.index(label or ""))]))
    return "\n".join(lines)


def registered(service: Service) -> list[str]:
    return Registry(service.home / "models").versions()


def announced(client: httpx.Client, size: int) -> int:
    """The status for an upload of this size of which nothing is sent."""
    connection = HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=30)
    token = {"Authorization": client.headers["Authorization"]}
    connection.request("POST", "/models", headers={**token, "Content-Length": str(size)})
    status = connection.getresponse().status
    connection.close()
    return status


def undisturbed(seen: Steady) -> None:
    seen.more(5)
    assert seen.failures == []
    assert {answer["version"] for answer in seen.answers} == {VERSION}


def follow(client: httpx.Client, run: str, until: set[str], timeout: float = 120) -> Any:
    ends = time.monotonic() + timeout
    while (body := client.get(f"/training/{run}").json())["state"] not in until:
        assert time.monotonic() < ends, body
        time.sleep(0.2)
    return body


def test_bad_uploads_are_refused_and_production_goes_on(
    service: Service, client: httpx.Client
) -> None:
    good = as_tar(SHIPPED / VERSION)
    before = registered(service)
    cases: list[tuple[bytes, int, str]] = [
        (good[:20_000], 422, "model_unreadable"),
        (as_tar(SHIPPED / VERSION, b"x"), 422, "model_hash"),
        (b"\x1f\x8b\x08 compressed", 422, "model_unreadable"),
        (b"", 400, "empty_body"),
    ]
    with steady(service.url, ROW, rate=10) as seen:
        for body, status, code in cases:
            answer = client.post("/models?activate=true", content=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
            assert answer.json()["remedy"]
        form = {"files": {"file": ("model.json", (PAIR / "diabetes.json").read_bytes())}}
        assert client.post("/models", **form).json()["code"] == "model_half"
        assert announced(client, 1 << 30) == 413
        assert client.post("/models?activate=maybe", content=good).status_code == 400
        undisturbed(seen)
    assert registered(service) == before
    assert list((service.home / "trainer").glob("[0-9a-f]*")) == []


def test_an_upload_is_added_activated_and_deleted_without_a_failed_request(
    service: Service, client: httpx.Client
) -> None:
    files = [
        ("file", (name, (PAIR / f"diabetes{Path(name).suffix}").read_bytes()))
        for name in ("model.json", "model.h5")
    ]
    with steady(service.url, ROW, rate=10) as seen:
        made = client.post("/models?activate=true", files=files)
        assert made.status_code == 201, made.text
        new = made.json()["version"]
        assert made.json()["active"] == new != VERSION
        assert "no features file" in made.json()["notes"][0]
        seen.wait_for(lambda: seen.answers[-1]["version"] == new, 60)
        assert client.delete(f"/models/{new}").json()["code"] == "version_in_use"
        back = client.post(f"/models/{VERSION}/activate")
        assert back.json()["active"] == VERSION
        seen.wait_for(lambda: seen.answers[-1]["version"] == VERSION, 60)
        assert client.delete(f"/models/{new}").status_code == 204
        assert client.delete(f"/models/{new}").status_code == 404
        assert seen.failures == []
    assert registered(service) == [VERSION]
    log = (service.home / "logs" / "web.log").read_text()
    for action in ("model.add", "model.activate", "model.delete"):
        assert f'"action":"{action}"' in log


def test_a_training_that_is_killed_starts_again_and_its_model_is_not_served(
    service: Service, client: httpx.Client
) -> None:
    with steady(service.url, ROW, rate=10, longest=200) as seen:
        made = client.post("/training?seed=3&name=retrained", content=table(130), headers=CSV)
        assert made.status_code == 202, made.text
        run = made.json()["id"]
        follow(client, run, {"running"})
        (trainer,) = service.processes("trainer")
        children = trainer.children()
        trainer.kill()
        body = follow(client, run, {"done", "failed"}, timeout=180)
        assert (body["state"], body["attempts"]) == ("done", 2), body
        assert body["version"] == "retrained-1"
        assert len(body["loss"]) == len(body["val_loss"]) == body["epochs"] > 1
        assert not [child for child in children if child.is_running()]
        undisturbed(seen)
    page = client.get("/training", headers={"Accept": "text/html"})
    assert "<svg" in page.text and "retrained-1: done" in page.text
    assert "style=" not in page.text and "<script" not in page.text
    assert client.delete(f"/training/{run}").status_code == 204
    assert client.get(f"/training/{run}").status_code == 404
    assert client.delete("/models/retrained-1").status_code == 204


def test_a_training_is_cancelled(service: Service, client: httpx.Client) -> None:
    first, second = (
        client.post("/training", content=table(130), headers=CSV).json()["id"] for _ in "ab"
    )
    follow(client, first, {"running"})
    (trainer,) = service.processes("trainer")
    (child,) = trainer.children()
    assert client.get(f"/training/{second}").json()["state"] == "queued"
    time.sleep(2)  # so that the process has given way
    assert child.nice() == 19
    assert client.delete(f"/training/{second}").json()["cancelling"] is True
    assert client.delete(f"/training/{first}").status_code == 200
    assert follow(client, first, {"cancelled", "done"})["state"] == "cancelled"
    assert follow(client, second, {"cancelled", "done"})["state"] == "cancelled"
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_cannot_be_trained_is_refused(client: httpx.Client) -> None:
    for path, content, headers, status in (
        ("/training", "a,b\n1,2\n", {"Content-Type": "application/json"}, 415),
        ("/training?seed=-1", table(50), CSV, 400),
        ("/training?name=A+b", table(50), CSV, 400),
        ("/training", "", CSV, 400),
    ):
        assert client.post(path, content=content, headers=headers).status_code == status
    wrong = client.post("/training", content="a,b\n1,2\n", headers=CSV)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_table")
    few = client.post("/training", content="\n".join(table(60).split("\n")[:9]), headers=CSV)
    body = follow(client, few.json()["id"], {"failed", "done"})
    assert body["state"] == "failed"
    assert "at least 25 of each" in body["reason"] and body["remedy"]
