"""Worker VMs get models that only their server has, over RabbitMQ."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from production_server.local.readiness import wait_until_ready
from production_server.model.registry import Registry
from tests.support.rows import distinct_rows, shipped
from tests.support.worker_vm import Front, WorkerVM

pytestmark = pytest.mark.timeout(300)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def registry(front: Front) -> Registry:
    """The server's models."""
    return Registry(front.settings.registry_path)


@pytest.fixture(scope="module")
def vm(front: Front) -> Iterator[WorkerVM]:
    """A worker VM whose registry nobody else uses. It is the only worker."""
    front.start()
    vm = WorkerVM(front, front.add("m1"), own_home=True)
    try:
        vm.wait_until_it_takes_tasks()
        yield vm
    finally:
        vm.stop()


@pytest.fixture(scope="module")
def client(front: Front, vm: WorkerVM) -> Iterator[httpx.Client]:
    assert wait_until_ready(front.url, 120)
    with httpx.Client(base_url=front.url, timeout=30) as client:
        yield client


def newer(registry: Registry) -> str:
    """Add a version with the same model, and activate it."""
    active = registry.active()
    return registry.add(registry.card(active), registry.model_path(active), activate=True).version


def wait_for(condition: Callable[[], object], text: Callable[[], str]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, text()
        time.sleep(0.1)


def wait_for_switch(client: httpx.Client, version: str) -> None:
    def answered() -> bool:
        answer = client.post("/predict", json=distinct_rows(shipped()[1], 1))
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["version"] == version)

    wait_for(answered, lambda: client.get("/alive").text)


def test_a_version_that_only_the_server_has(
    client: httpx.Client, registry: Registry, vm: WorkerVM
) -> None:
    version = newer(registry)
    assert not vm.registry.holds(version)
    wait_for_switch(client, version)
    assert vm.registry.digest(version) == registry.digest(version)
    assert vm.registry.active() == version
    (state,) = client.get("/alive").json()["workers"]
    assert (state["vm"], state["taking_tasks"], state["missing"]) == ("m1", True, {})
    assert version in state["models"]
