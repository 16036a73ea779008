"""Worker VMs get models that only their server has, over RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from production_server.local.readiness import wait_until_ready
from production_server.model.card import MODEL_FILE
from production_server.model.registry import Registry
from tests.support.disks import SmallDisk
from tests.support.rows import distinct_rows, shipped
from tests.support.service import operator
from tests.support.tables import csv_body, follow, submit, table, wait_for_chunks
from tests.support.versions import MEGABYTE, compile_ahead, large, newer
from tests.support.worker_vm import Front, WorkerVM

pytestmark = pytest.mark.timeout(900)
PATIENCE = 240.0
ROW = distinct_rows(shipped()[1], 1)


@contextmanager
def running(front: Front, name: str, home: Path) -> Iterator[WorkerVM]:
    vm = WorkerVM(front, front.add(name), home=home)
    try:
        yield vm
    finally:
        vm.stop()


@pytest.fixture(scope="module")
def registry(front: Front) -> Registry:
    """The server's models."""
    return Registry(front.settings.registry_path)


@pytest.fixture(scope="module")
def home(front: Front) -> Path:
    """What is left on the worker VM m1 while it is off."""
    return front.folder / "m1-home"


@pytest.fixture(scope="module")
def client(front: Front, home: Path) -> Iterator[httpx.Client]:
    front.start()
    with httpx.Client(
        base_url=front.url, timeout=30, headers=operator(front.settings.home)
    ) as client:
        yield client


@pytest.fixture
def vm(front: Front, client: httpx.Client, home: Path) -> Iterator[WorkerVM]:
    """A worker VM whose registry nobody else uses. It is the only worker."""
    with running(front, "m1", home) as vm:
        vm.wait_until_it_takes_tasks()
        assert wait_until_ready(front.url, PATIENCE)
        yield vm


def wait_for(condition: Callable[[], object], text: Callable[[], object] = lambda: "") -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, text()
        time.sleep(0.005)


def ask(client: httpx.Client) -> str:
    """The version that answers. No request may fail."""
    answer = client.post("/predict", json=ROW)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["version"])


def states(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {one["vm"]: one for one in client.get("/alive").json()["workers"]}


def wait_for_switch(client: httpx.Client, version: str) -> None:
    wait_for(lambda: ask(client) == version, lambda: states(client))


def half_made(home: Path) -> bool:
    """Whether a part of a large model has arrived."""
    found = (home / "models").glob(f".scratch-*/*/{MODEL_FILE}")
    return any(file.stat().st_size > 2 * MEGABYTE for file in found)


def test_new_versions_and_a_damaged_one(
    client: httpx.Client, registry: Registry, vm: WorkerVM
) -> None:
    compile_ahead(vm.registry, "diabetes-2", "diabetes-3")
    second = newer(registry)
    assert not vm.registry.holds(second)
    wait_for_switch(client, second)
    assert vm.registry.digest(second) == registry.digest(second)
    assert vm.registry.active() == second
    assert states(client)["m1"]["taking_tasks"]

    third = newer(registry, activate=False)
    file = registry.model_path(third)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    (registry.path / "active").write_text(third)
    wait_for(lambda: third in states(client)["m1"]["missing"])
    assert "SHA-256" in states(client)["m1"]["missing"][third]
    assert ask(client) == second  # the only worker that there is goes on
    assert not vm.registry.holds(third)

    file.write_bytes(whole)
    wait_for_switch(client, third)
    assert states(client)["m1"]["missing"] == {}


@pytest.mark.long
def test_a_worker_that_was_off_and_one_that_is_killed(
    front: Front, client: httpx.Client, registry: Registry, home: Path, tmp_path: Path
) -> None:
    """It gets the version that became active meanwhile before it takes a task."""
    before = registry.active()
    version = large(registry, tmp_path)
    registry.activate(version)
    with running(front, "m1", home) as vm:
        wait_for(lambda: half_made(home))
    assert not vm.registry.holds(version)
    with running(front, "m1", home) as vm:
        vm.wait_until_it_takes_tasks()
        assert vm.registry.digest(version) == registry.digest(version)
        assert not list((home / "models").glob(".scratch-*"))
        wait_for_switch(client, version)
        registry.activate(before)
        wait_for_switch(client, before)


@pytest.mark.long
def test_a_version_is_deleted_during_its_transfer(
    client: httpx.Client, registry: Registry, vm: WorkerVM, home: Path, tmp_path: Path
) -> None:
    before = ask(client)
    version = large(registry, tmp_path)
    registry.activate(version)
    wait_for(lambda: half_made(home))
    registry.activate(before)
    registry.delete(version)
    wait_for(lambda: not list((home / "models").glob(".scratch-*")))
    wait_for(lambda: states(client)["m1"]["missing"] == {})
    assert not vm.registry.holds(version)
    assert states(client)["m1"]["taking_tasks"]
    assert ask(client) == before


@pytest.mark.long
def test_a_worker_that_cannot_get_it_leaves_while_a_job_runs(
    front: Front, client: httpx.Client, registry: Registry, vm: WorkerVM, disk: SmallDisk
) -> None:
    card = shipped()[1]
    before = ask(client)
    with running(front, "m2", disk.path) as full:
        full.wait_until_it_takes_tasks()
        job = submit(client, csv_body(card, table(card, 20_000)))["id"]
        wait_for_chunks(client, job, 5)
        disk.fill()
        version = newer(registry)
        wait_for_switch(client, version)
        listed = {one["name"]: one for one in front.listed()}
        assert "No space left" in listed["m2"]["missing"][version]
        assert (listed["m1"]["taking_tasks"], listed["m2"]["taking_tasks"]) == (1, 0)
        # One job of the old version, one of the new.
        jobs = [job, submit(client, csv_body(card, table(card, 3000)))["id"]]
        for one in jobs:
            done = follow(client, one, timeout=120)
            assert (done["state"], done["rows_failed"]) == ("done", 0)
        assert {ask(client) for _ in range(20)} == {version} != {before}
        disk.empty()
        full.wait_until_it_takes_tasks()
        assert full.registry.holds(version)
        assert states(client)["m2"]["missing"] == {}
