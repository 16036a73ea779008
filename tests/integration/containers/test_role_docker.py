"""What the launcher asks of a server of the role docker: tokens, backups and new versions."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from openstack_client.deploy import transfer
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.tokens import tokens
from openstack_client.errors import ContextualizationError
from openstack_client.watch.progress import JsonDisplay, Progress
from production_server.model.card import card_text, read_card
from production_server.model.registry import SHIPPED, Registry, sha256_of
from tests.support.docker_role import DockerRole, docker_role
from tests.support.images import Images
from tests.support.other_models import DATA
from tests.support.rows import PATIENT, shipped
from tests.support.tables import csv_body, follow, submit, table

PAIR = DATA / "keras_models" / "keras_2_1"
# More than the container's /tmp holds.
LARGE = 80_000_000


@pytest.fixture(scope="module")
def server(images: Images) -> Iterator[DockerRole]:
    with docker_role(images) as server:
        yield server


@pytest.fixture(autouse=True)
def _ssh(server: DockerRole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{server.bin}:{os.environ['PATH']}")


@pytest.fixture
def progress() -> Progress:
    nothing = SimpleNamespace(write=len, flush=lambda: None)
    return Progress(JsonDisplay(nothing))  # type: ignore[arg-type]


@pytest.fixture
def client(server: DockerRole) -> Iterator[httpx.Client]:
    token = tokens(
        server.target, ["create", "client", "--scope", "predict", "--scope", "jobs"]
    ).strip()
    header = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=header, timeout=60) as client:
        yield client
    tokens(server.target, ["revoke", "client"])


def test_a_token_is_good_until_it_is_revoked(server: DockerRole) -> None:
    assert server.status("/predict", **PATIENT) == 401
    token = tokens(server.target, ["create", "teacher", "--scope", "predict"]).strip()
    assert server.status("/predict", token, **PATIENT) == 200
    assert "teacher" in tokens(server.target, ["list"])
    tokens(server.target, ["revoke", "teacher"])
    assert server.status("/predict", token, **PATIENT) == 401
    shown = server.done("stackserve-compose", "logs", "--no-color")
    assert token not in shown


def test_a_backup_brings_back_jobs_and_models(
    server: DockerRole, client: httpx.Client, progress: Progress, tmp_path: Path
) -> None:
    _, card = shipped()
    first = submit(client, csv_body(card, table(card, 3000)))["id"]
    assert follow(client, first)["state"] == "done"
    result = client.get(f"/jobs/{first}/result").content
    found = transfer.fetch(server.target, tmp_path / "saved", progress)
    assert found.jobs == 1 and "diabetes-1" in found.models

    second = submit(client, csv_body(card, table(card, 1000)))["id"]
    assert follow(client, second)["state"] == "done"
    transfer.send(server.target, tmp_path / "saved", progress, Interrupts())
    server.wait_ready()
    assert client.get(f"/jobs/{first}/result").content == result
    assert client.get(f"/jobs/{second}").status_code == 404


def test_a_damaged_archive_changes_nothing(
    server: DockerRole, client: httpx.Client, progress: Progress, tmp_path: Path
) -> None:
    transfer.fetch(server.target, tmp_path / "saved", progress)
    whole = (tmp_path / "saved").read_bytes()
    (tmp_path / "saved").write_bytes(whole[: len(whole) // 2])
    before = server.done("stackserve-compose", "ps", "--quiet")
    with pytest.raises(ContextualizationError):
        transfer.send(server.target, tmp_path / "saved", progress, Interrupts())
    assert client.get("/predict", params=PATIENT).status_code == 200
    assert server.done("stackserve-compose", "ps", "--quiet") == before
    assert not list(Path("/var/tmp").glob("stackserve-restore-*"))


def as_tar(*paths: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in paths:
            tar.add(path, path.name)
    return out.getvalue()


def test_a_new_version_arrives_by_standard_input(server: DockerRole, client: httpx.Client) -> None:
    """Last, because the others expect the shipped model."""
    receive = ("stackserve-service", "models", "receive", "-", "--json", "--activate")
    refused = server.run(*receive, feed=b"not a model")
    assert refused.returncode == 1 and b"refused" in refused.stderr
    assert client.get("/predict", params=PATIENT).json()["version"] == "diabetes-1"

    sent = as_tar(PAIR / "diabetes.json", PAIR / "diabetes.h5")
    told = json.loads(server.done(*receive, feed=sent))
    assert (told["accepted"], told["version"]) == (True, "diabetes-2")
    assert "1 of 1 worker processes have loaded it." in told["lines"]
    assert client.get("/predict", params=PATIENT).json()["version"] == "diabetes-2"
    assert "diabetes-2" in server.done("stackserve-service", "models", "list")


def test_a_version_larger_than_tmp_is_checked(server: DockerRole, tmp_path: Path) -> None:
    version = Registry(SHIPPED).versions()[-1]
    model, card = tmp_path / "model.keras", tmp_path / "card.json"
    model.write_bytes((SHIPPED / version / "model.keras").read_bytes())
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr("ballast", os.urandom(LARGE))
    changed = {"model_sha256": sha256_of(model)}
    card.write_text(
        card_text(read_card(SHIPPED / version / "card.json").model_copy(update=changed))
    )
    words = ("stackserve-service", "models", "receive", "--check", "--json")
    ended = server.run(*words, feed=as_tar(model, card))
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout)["version"] == "diabetes-3"
