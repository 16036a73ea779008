"""Jobs in PostgreSQL, in containers: they survive its death, and nobody sees its password."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from container_engine import EngineError

from tests.support.compose import Composed, composed
from tests.support.images import Images
from tests.support.rows import shipped
from tests.support.tables import (
    check_result,
    csv_body,
    follow,
    keras_probabilities,
    submit,
    table,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
PORT = 5200
IMAGE = "stored:test"
SERVICES = ("secrets", "rabbitmq", "postgres", "web", "recorder", "worker")
COUNT = ("psql", "--host=/tmp", "--dbname=stackserve", "-tAc", "SELECT count(*) FROM jobs")
MOST_BYTES = 330_000_000


@pytest.fixture(scope="module")
def service(images: Images) -> Iterator[Composed]:
    images.build(IMAGE, "--extra", "postgres", "--postgres")
    names = {"STACKSERVE_IMAGE": IMAGE, "STACKSERVE_POSTGRES_IMAGE": "stored-postgres:test"}
    with composed(images, "stored", PORT, "containers/postgres.yml", **names) as running:
        yield running


def test_a_job_is_in_postgresql_and_survives_its_death(service: Composed) -> None:
    registry, card = shipped()
    values = table(card, 3000)
    with httpx.Client(base_url=service.url, timeout=60) as client:
        job = submit(client, csv_body(card, values))["id"]
        assert follow(client, job)["state"] == "done"
        assert service.run("exec", "-T", "postgres", *COUNT).strip() == "1"
        service.kill(service.containers("postgres")[0])
        until = time.monotonic() + 60
        while client.get(f"/jobs/{job}").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.5)
        check_result(client, job, keras_probabilities(registry, card, values))
        again = submit(client, csv_body(card, values))["id"]
        assert follow(client, again, timeout=120)["state"] == "done"


def test_no_password_is_in_what_docker_shows(service: Composed) -> None:
    password = service.secret("postgres_password")
    assert len(password) > 30 and password in service.secret("stackserve_store_url")
    ids = [one for name in SERVICES for one in service.containers(name)]
    shown = [json.dumps(service.engine.inspect(container)) for container in ids]
    shown += [service.run("config"), service.run("logs", "--no-color")]
    assert len(ids) == len(SERVICES)
    assert [text[:200] for text in shown if password in text] == []


def test_a_worker_does_not_reach_the_database(service: Composed) -> None:
    connect = "import socket; socket.create_connection(('postgres', 5432), 3)"
    service.run("exec", "-T", "web", "python", "-c", connect)
    with pytest.raises(EngineError, match=r"Name or service not known|name resolution"):
        service.run("exec", "-T", "worker", "python", "-c", connect)


def test_its_image_is_small_and_has_no_key(service: Composed) -> None:
    image = service.variables["STACKSERVE_POSTGRES_IMAGE"]
    assert service.engine.inspect(image)["Size"] < MOST_BYTES
    keys = [path for path in service.engine.files(image) if path.startswith("etc/ssl/private/")]
    assert [path for path in keys if path != "etc/ssl/private/"] == []
