"""A deployment's jobs move to another server: backup, delete, deploy, restore, on real guests."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.cloud import LabCloud
from tests.support.lab_user import LabUser, Server
from tests.support.rows import shipped
from tests.support.tables import CSV, csv_body, follow, submit, table

pytestmark = [pytest.mark.long, pytest.mark.timeout(5000)]

NAME = "moving"
ROWS = 20_000
KEY = {"Idempotency-Key": "the-only-one"}


@pytest.fixture
def user(real_lab: LabCloud, tmp_path: Path) -> Iterator[LabUser]:
    user = LabUser(real_lab, tmp_path)
    yield user
    user.run("delete", NAME, "--yes", "--take-over")


def deployed(user: LabUser) -> httpx.Client:
    server = Server(user.events("deploy", NAME))
    origin = server.event("result")["url"].removesuffix("/predictions")
    return httpx.Client(base_url=origin, timeout=60)


def results(client: httpx.Client, job: str) -> list[bytes]:
    answers = [client.get(f"/jobs/{job}/result", params={"format": f}) for f in ("csv", "json")]
    assert [answer.status_code for answer in answers] == [200, 200]
    return [answer.content for answer in answers]


def test_jobs_move_to_another_server(user: LabUser, tmp_path: Path) -> None:
    _, card = shipped()
    body = csv_body(card, table(card, ROWS))
    file = tmp_path / "moving.tar.gz"
    with deployed(user) as client:
        job = submit(client, body, **KEY)["id"]
        assert follow(client, job, timeout=300)["state"] == "done"
        before = results(client, job)
    saved = user.run("backup", NAME, str(file))
    assert saved.code == 0, saved.output + saved.errors
    assert "1 job, model diabetes-1" in saved.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert user.run("deploy", NAME, "--recreate").code == 2, "it would delete the job"
    assert user.run("delete", NAME, "--yes").code == 0

    with deployed(user) as client:
        assert client.get(f"/jobs/{job}").status_code == 404
        restored = user.run("restore", NAME, str(file), "--yes", "--json")
        assert restored.code == 0, restored.output + restored.errors
        assert json.loads(restored.output.splitlines()[-1])["jobs"] == 1
        assert results(client, job) == before
        again = client.post("/jobs", content=body, headers={**CSV, **KEY})
        assert (again.status_code, again.json()["id"]) == (200, job)
        other = submit(client, body)["id"]
        assert follow(client, other, timeout=300)["state"] == "done"
        assert results(client, other)[0] == before[0]
    assert user.run("status", NAME).code == 0
    assert user.run("delete", NAME, "--yes").code == 0
