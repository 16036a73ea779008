"""A deployed server that the cloud resets loses nothing: no row, no job and no model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from openstack_client.deploy.transfer import VERB
from tests.support.cloud import LabCloud
from tests.support.lab_user import DEPLOY_SECONDS, LabUser, Server
from tests.support.rows import PATIENT, shipped
from tests.support.tables import csv_body, follow, get_job, submit, table, wait_for_chunks

pytestmark = [pytest.mark.long, pytest.mark.timeout(DEPLOY_SECONDS + 4000)]

NAME = "rebooted"
# Enough to keep an emulated server busy until the reset, which the `openstack` command line
# takes a few seconds to request.
ROWS = 300_000
# Seconds for an emulated server to boot or to finish a job while other tests run.
PATIENCE = 1500.0
# Seconds between requests, which an emulated server answers slowly.
PAUSE = 1.0
# The same model under another version, so that the active one is not the default.
ADD_MODEL = f"""set -e
cp -r /var/lib/stackserve/models/diabetes-1 /var/tmp/diabetes-2
sed -i s/diabetes-1/diabetes-2/ /var/tmp/diabetes-2/card.json
chown -R stackserve: /var/tmp/diabetes-2
{VERB} models import /var/tmp/diabetes-2 --activate
"""


@dataclass
class Deployed:
    """The server, and a client of its service."""

    server: Server
    client: httpx.Client
    cloud: LabCloud
    boot: str
    """The kernel's identifier of the latest boot."""

    def reset(self) -> float:
        """Reset it like a user of the cloud, and return the seconds until it is ready again."""
        reset = ("server", "reboot", "--hard", "--wait", f"stackserve-{NAME}")
        ended = self.cloud.openstack(*reset, timeout=300)
        assert ended.code == 0, ended.errors
        began = time.monotonic()
        while not self.is_ready():
            assert time.monotonic() - began < PATIENCE, self.console()
            time.sleep(PAUSE)
        seconds = time.monotonic() - began
        before, self.boot = self.boot, boot_id(self.server)
        assert self.boot != before, "it was not reset"
        return seconds

    def console(self) -> str:
        return self.cloud.lab("console", f"stackserve-{NAME}").output[-3000:]

    def is_ready(self) -> bool:
        try:
            return self.client.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def result(self, job: str) -> bytes:
        answer = self.client.get(f"/jobs/{job}/result", params={"format": "csv"})
        assert answer.status_code == 200, answer.text
        return answer.content

    def active_model(self) -> str:
        return str(self.client.get("/alive").json()["version"])


def boot_id(server: Server) -> str:
    return server.ssh("cat /proc/sys/kernel/random/boot_id")


@pytest.fixture(scope="module")
def deployed(real_lab: LabCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    user = LabUser(real_lab, tmp_path_factory.mktemp("home"))
    try:
        server = Server(user.events("deploy", NAME, "--timeout-ready", str(DEPLOY_SECONDS)))
        origin = server.event("result")["url"].removesuffix("/predictions")
        with httpx.Client(base_url=origin, timeout=300) as client:
            yield Deployed(server, client, real_lab, boot_id(server))
    finally:
        user.run("delete", NAME, "--yes", "--take-over")


def csv_of(rows: int) -> bytes:
    _, card = shipped()
    return csv_body(card, table(card, rows))


@pytest.fixture(scope="module")
def body() -> bytes:
    return csv_of(ROWS)


@pytest.fixture(scope="module")
def undisturbed(deployed: Deployed, body: bytes) -> bytes:
    """The result of the same job without a reset."""
    began = time.monotonic()
    job = submit(deployed.client, body)["id"]
    assert follow(deployed.client, job, PATIENCE, PAUSE)["state"] == "done"
    print(f"undisturbed job: {time.monotonic() - began:.0f} s")
    return deployed.result(job)


def test_a_hard_reboot_during_a_job_loses_no_row(
    deployed: Deployed, body: bytes, undisturbed: bytes
) -> None:
    client = deployed.client
    job = submit(client, body)["id"]
    wait_for_chunks(client, job, 2, PATIENCE, PAUSE)
    print(f"ready {deployed.reset():.0f} s after the reset")
    assert 0 < get_job(client, job)["rows_done"] < ROWS
    ended = follow(client, job, PATIENCE, PAUSE)
    assert (ended["state"], ended["rows_done"]) == ("done", ROWS)
    assert deployed.result(job) == undisturbed, "a row is missing, repeated or different"


def test_hard_reboots_seconds_after_ready_lose_nothing(deployed: Deployed) -> None:
    """Nor does one right after a job has finished and a model was activated."""
    client = deployed.client
    deployed.server.ssh(ADD_MODEL, timeout=PATIENCE)
    job = submit(client, csv_of(5_000))["id"]
    assert follow(client, job, PATIENCE, PAUSE)["state"] == "done"
    result = deployed.result(job)
    for _ in range(2):
        print(f"ready {deployed.reset():.0f} s after the reset")
        assert deployed.result(job) == result
        assert deployed.active_model() == "diabetes-2"
    answer = client.post("/predict", json=PATIENT)
    assert (answer.status_code, answer.json()["version"]) == (200, "diabetes-2")
