"""Worker VMs join, share the work, survive a restart of the broker, and leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from kombu import Connection

from production_server.local.readiness import wait_until_ready
from production_server.messaging.app import create_app
from production_server.messaging.names import JOBS_QUEUE, PREDICT_QUEUE
from production_server.remote import workers
from production_server.settings import load_settings
from tests.support.counting_worker import COUNT
from tests.support.rows import distinct_rows, keras_predictions, shipped
from tests.support.service import operator
from tests.support.tables import (
    check_result,
    csv_body,
    follow,
    keras_probabilities,
    submit,
    table,
    wait_for_chunks,
)
from tests.support.worker_vm import Front, WorkerVM

pytestmark = pytest.mark.timeout(300)
ROWS = 3000  # 30 chunks


@pytest.fixture(scope="module")
def client(front: Front, start: Callable[[str], WorkerVM]) -> Iterator[httpx.Client]:
    """A client of a server with one worker VM."""
    front.start()
    start("w1")
    assert wait_until_ready(front.url, 120)
    with httpx.Client(
        base_url=front.url, timeout=30, headers=operator(front.settings.home)
    ) as client:
        yield client


@pytest.fixture(scope="module")
def start(front: Front) -> Iterator[Callable[[str], WorkerVM]]:
    """Adds a worker VM and starts it, once for all tests."""
    started: dict[str, WorkerVM] = {}

    def start(name: str) -> WorkerVM:
        if name not in started:
            started[name] = WorkerVM(front, front.add(name))
            started[name].wait_until_it_takes_tasks()
        return started[name]

    yield start
    for vm in started.values():
        vm.stop()


@contextmanager
def steady_requests(client: httpx.Client) -> Iterator[list[int]]:
    """Sends predictions all the time, and collects the status of each answer."""
    answers: list[int] = []
    stopping = threading.Event()
    row = distinct_rows(shipped()[1], 1)

    def send() -> None:
        while not stopping.is_set():
            answers.append(client.post("/predict", json=row).status_code)
            time.sleep(0.01)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def chunks_done_by(front: Front, vm: WorkerVM) -> int:
    app = create_app(load_settings(broker_url=front.node.url))
    (said,) = app.control.broadcast(COUNT, destination=[vm.node], reply=True, timeout=10)
    return int(said[vm.node])


def consumers(front: Front) -> dict[str, int]:
    """How many workers take tasks from each queue."""
    with Connection(front.node.url) as connection:
        declare = connection.default_channel.queue_declare
        return {
            queue: declare(queue, passive=True).consumer_count
            for queue in (PREDICT_QUEUE, JOBS_QUEUE)
        }


def starts(front: Front) -> int:
    """How often RabbitMQ has started."""
    return front.node.log.read_text().count("Starting broker")


def test_a_worker_vm_answers_requests_and_jobs(client: httpx.Client) -> None:
    registry, card = shipped()
    rows = distinct_rows(card, 20)
    values = table(card, ROWS)
    answer = client.post("/predict", json=rows).json()
    expected = keras_predictions(registry, card, rows)[:, 0]
    got = [one["probability"] for one in answer["predictions"]]
    assert got == pytest.approx(expected.tolist(), abs=1e-5)
    job = submit(client, csv_body(card, values))["id"]
    assert follow(client, job)["state"] == "done"
    check_result(client, job, keras_probabilities(registry, card, values))
    shares = client.get(f"/jobs/{job}").json()["workers"]
    assert shares == [{"host": "w1", "chunks": 30, "rows": ROWS}]


def test_a_worker_joins_while_requests_are_served(
    front: Front, client: httpx.Client, start: Callable[[str], WorkerVM]
) -> None:
    before = starts(front)
    with steady_requests(client) as answers:
        start("w2")
    assert set(answers) == {200} and len(answers) > 20
    assert starts(front) == before
    listed = {one["name"]: one for one in front.listed()}
    assert listed["w2"].keys() > workers.UNKNOWN.keys()
    assert (listed["w2"]["connected"], listed["w2"]["processes"]) == (True, 1)
    assert (listed["w2"]["taking_tasks"], listed["w2"]["missing"]) == (1, {})
    assert listed["w1"]["versions"] == listed["w2"]["versions"] == [shipped()[1].version]
    assert listed["w1"]["tasks"] > 30
    assert listed["w1"]["last_heard"]


def test_the_load_of_a_server(front: Front, client: httpx.Client) -> None:
    assert client.get("/ready").status_code == 200
    load = front.questions.load()
    assert load["ready"] == {"predict": 0, "jobs": 0}
    assert (load["chunks"], load["jobs_seconds"]) == (0, 0)
    assert load["workers"] == load["processes"] > 0 == load["silent"]
    assert 0 < load["wait_seconds"] < 3
    assert 0 <= load["busy"] <= 1


def test_a_job_is_shared(
    front: Front, client: httpx.Client, start: Callable[[str], WorkerVM]
) -> None:
    vms = [start("w1"), start("w2")]
    before = [chunks_done_by(front, vm) for vm in vms]
    job = submit(client, csv_body(shipped()[1], table(shipped()[1], ROWS)))["id"]
    assert follow(client, job)["state"] == "done"
    done = [chunks_done_by(front, vm) - count for vm, count in zip(vms, before, strict=True)]
    assert sum(done) == 30
    assert min(done) > 0, done


def test_a_new_password_disturbs_no_connection(
    front: Front, client: httpx.Client, start: Callable[[str], WorkerVM]
) -> None:
    vm = start("w1")
    front.add("w1")
    assert client.post("/predict", json=distinct_rows(shipped()[1], 1)).status_code == 200
    assert not vm.ended()


def test_a_worker_is_drained_under_load(
    front: Front, client: httpx.Client, start: Callable[[str], WorkerVM]
) -> None:
    card = shipped()[1]
    vm = start("w2")
    with steady_requests(client) as answers:
        job = submit(client, csv_body(card, table(card, ROWS)))["id"]
        wait_for_chunks(client, job, 1)
        before = consumers(front)
        front.drain("w2")
        after = consumers(front)
        ended = chunks_done_by(front, vm)
        vm.stop()
        front.remove("w2")
    assert set(answers) == {200} and len(answers) > 20
    assert follow(client, job)["rows_done"] == ROWS
    assert after == {queue: count - 1 for queue, count in before.items()}
    assert ended > 0


@pytest.mark.long
def test_a_restart_of_the_server_ends_nothing(
    front: Front, client: httpx.Client, start: Callable[[str], WorkerVM]
) -> None:
    registry, card = shipped()
    vm = start("w3")
    values = table(card, 5 * ROWS)
    job = submit(client, csv_body(card, values))["id"]
    wait_for_chunks(client, job, 5)
    front.node.stop()
    vm.wait_until_it_is_disconnected()
    front.node.start()
    vm.wait_until_it_takes_tasks()
    assert follow(client, job, timeout=120)["rows_done"] == len(values)
    # It still answers questions, on the queue that was declared when it was added.
    alive = client.get("/alive").json()["workers"]
    assert alive and all(one["models"] for one in alive)
    assert chunks_done_by(front, vm) > 0
    check_result(client, job, keras_probabilities(registry, card, values))


def test_a_removed_worker_is_cut_off(
    front: Front, client: httpx.Client, start: Callable[[str], WorkerVM]
) -> None:
    vm = start("w3")
    front.remove("w3")
    vm.wait_until_it_is_disconnected()
    assert "worker-w3" not in front.node.rabbitmq.run("list_connections", "user").split()
    assert "w3" not in {one["name"] for one in front.listed()}
    front.remove("w3")  # again, with nothing left to do
