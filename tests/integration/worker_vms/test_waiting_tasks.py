"""A worker VM that joins starts at once with the tasks that wait for it."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.support.rows import shipped
from tests.support.service import operator
from tests.support.tables import csv_body, follow, submit, table
from tests.support.worker_vm import Front, WorkerVM

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("attempt", range(3))  # without the right care, a third is fast by chance
def test_a_queued_job_is_done_at_once(front: Front, attempt: int) -> None:
    """RabbitMQ sends the task with its last confirmation, often in one TLS record."""
    front.start()
    headers = operator(front.settings.home)
    until_it_listens = httpx.HTTPTransport(retries=8)
    with httpx.Client(base_url=front.url, headers=headers, transport=until_it_listens) as client:
        card = shipped()[1]
        job = submit(client, csv_body(card, table(card, 100)))["id"]
        vm = WorkerVM(front, front.add("w4"))
        try:
            vm.wait_until_it_takes_tasks()
            joined = time.monotonic()
            assert follow(client, job, timeout=60)["state"] == "done"
            assert time.monotonic() - joined < 5
        finally:
            vm.stop()
            front.remove("w4")
