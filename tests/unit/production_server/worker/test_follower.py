"""A worker VM catches up with its server before it takes tasks, and leaves when it cannot."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from production_server.errors import ModelError, QueueError, RegistryError
from production_server.messaging.model_parts import Active
from production_server.model.registry import Registry
from production_server.remote.model_source import active_of
from production_server.worker import follower as following
from production_server.worker.follower import Follower
from production_server.worker.front_end import Refused
from production_server.worker.model_cache import ModelCache, VersionMissing

OLD, NEW = "diabetes-1", "diabetes-2"


class Server:
    """The server's registry, without RabbitMQ between."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.failing: Exception | None = None
        self.away = False
        self.fetched: list[str] = []

    def active(self) -> Active:
        if self.away:
            raise QueueError("no answer")
        return active_of(self.registry)

    def fetch(self, version: str, folder: Path) -> None:
        if self.failing is not None:
            raise self.failing
        if not self.registry.holds(version):
            raise Refused("no such version")
        self.fetched.append(version)
        shutil.copytree(self.registry.path / version, folder, dirs_exist_ok=True)


class Cache(ModelCache):
    """Loads no model."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.loads: list[str] = []
        self.broken: set[str] = set()

    def _load(self, version: str) -> Any:
        if version in self.broken:
            raise ModelError("cannot compile it")
        self._registry.model_path(version)
        if version not in self._loaded:
            self.loads.append(version)
            self._loaded[version] = version  # type: ignore[assignment]
            self._forget_old(version)
        return version


class Worker:
    def __init__(self, folder: Path) -> None:
        server = Registry(folder / "server")
        server.seed()
        self.server = Server(server)
        self.registry = Registry(folder / "worker")
        self.registry.seed()
        self.cache = Cache(self.registry)
        self.cache.get(OLD)
        self.follower = Follower(self.registry, self.cache, self.server)
        self.closed = 0
        self.follower.close_gate = self.close
        self.cache.supply = self.follower.supply

    def close(self) -> None:
        self.closed += 1

    def newer(self) -> None:
        registry = self.server.registry
        registry.add(registry.card(OLD), registry.model_path(OLD), activate=True)

    @property
    def takes_tasks(self) -> bool:
        return self.follower.may_take_tasks()


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def running(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr(following, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(following, "CHUNK_PATIENCE", 5.0)
    worker.follower.start()
    worker.follower.connected()
    wait_for(lambda: worker.takes_tasks)
    yield worker
    worker.follower.stop()


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_takes_tasks_once_it_has_the_active_version(worker: Worker) -> None:
    worker.newer()
    assert not worker.takes_tasks
    assert worker.follower.catch_up()
    assert worker.takes_tasks
    assert worker.cache.loads == [OLD, NEW]
    assert worker.registry.active() == NEW
    assert worker.server.fetched == [NEW]


def test_nothing_is_fetched_or_loaded_twice(worker: Worker) -> None:
    assert worker.follower.catch_up() and worker.follower.catch_up()
    assert (worker.server.fetched, worker.cache.loads) == ([], [OLD])


@pytest.mark.parametrize(
    "error", [QueueError("cut off"), ModelError("another SHA-256"), OSError("disk"), Refused("no")]
)
def test_one_that_cannot_get_the_active_version_does_not_join(
    worker: Worker, error: Exception
) -> None:
    worker.newer()
    worker.server.failing = error
    assert not worker.follower.catch_up()
    assert not worker.takes_tasks
    assert set(worker.follower.missing) == {NEW} and worker.cache.failures == 1
    assert worker.registry.versions() == [OLD]
    worker.server.failing = None
    assert worker.follower.catch_up()
    assert worker.takes_tasks and worker.follower.missing == {}


def test_one_that_cannot_compile_it_does_not_join(worker: Worker) -> None:
    worker.newer()
    worker.cache.broken = {NEW}
    assert not worker.follower.catch_up()
    assert not worker.takes_tasks
    assert worker.follower.missing == {NEW: "cannot compile it"}


def test_a_failed_activation_does_not_stop_it(worker: Worker) -> None:
    """The server has not switched: only it knows whether others can go on."""
    worker.follower.catch_up()
    worker.newer()
    worker.server.failing = ModelError("no")
    worker.follower.hear(NEW)
    assert not worker.follower.catch_up()
    assert worker.takes_tasks and worker.closed == 0
    worker.follower.leave(NEW)
    assert not worker.takes_tasks and worker.closed == 1
    worker.server.failing = None
    assert worker.follower.catch_up()
    assert worker.takes_tasks


def test_another_activation_ends_what_the_last_one_needed(worker: Worker) -> None:
    worker.follower.catch_up()
    worker.newer()
    worker.cache.broken = {NEW}
    worker.follower.hear(NEW)
    worker.follower.leave(NEW)
    assert not worker.follower.catch_up()
    worker.server.registry.activate(OLD)
    worker.follower.hear(OLD)
    assert worker.follower.catch_up()
    assert worker.takes_tasks and worker.follower.missing == {}


def test_without_an_answer_it_serves_what_it_has(worker: Worker) -> None:
    worker.server.away = True
    assert not worker.follower.catch_up()  # so it asks again
    assert worker.takes_tasks


def test_a_name_that_was_used_again_is_not_mistaken(worker: Worker) -> None:
    worker.newer()
    worker.follower.catch_up()
    registry = worker.server.registry
    registry.activate(OLD)
    registry.delete(NEW)
    card = registry.card(OLD).model_copy(update={"target": "something else"})
    registry.add(card, registry.model_path(OLD), activate=True)
    worker.follower.hear(NEW)
    assert NEW not in worker.follower.ready_versions()
    assert worker.follower.catch_up()
    assert NEW in worker.follower.ready_versions()
    assert worker.registry.card(NEW).target == "something else"
    assert worker.cache.loads == [OLD, NEW, NEW]


def test_a_prediction_of_a_missing_version_goes_to_another_worker(running: Worker) -> None:
    running.newer()
    with pytest.raises(VersionMissing):
        running.cache.get(NEW, wait=False)
    assert running.closed == 1
    wait_for(lambda: running.takes_tasks)
    running.cache.get(NEW, wait=False)


def test_a_chunk_waits_for_its_version(running: Worker) -> None:
    running.newer()
    running.server.registry.activate(OLD)
    assert running.cache.get(NEW)
    assert running.closed == 1
    wait_for(lambda: running.takes_tasks)
    assert running.registry.active() == OLD


def test_a_chunk_does_not_wait_for_what_cannot_be_got(running: Worker) -> None:
    running.newer()
    running.server.registry.activate(OLD)
    running.server.failing = ModelError("another SHA-256")
    with pytest.raises(VersionMissing, match="another SHA-256"):
        running.cache.get(NEW)
    assert not running.takes_tasks
    running.server.failing = None
    wait_for(lambda: running.takes_tasks)


def test_a_version_that_was_deleted_on_the_server_stops_nobody(running: Worker) -> None:
    for _ in range(2):
        with pytest.raises((RegistryError, VersionMissing)):
            running.cache.get("diabetes-9")
        wait_for(lambda: running.takes_tasks)
    assert running.closed == 1


def test_old_versions_are_deleted(worker: Worker) -> None:
    for number in range(2, 12):
        worker.newer()
        worker.follower.hear(f"diabetes-{number}")
        assert worker.follower.catch_up()
    held = worker.registry.versions()
    assert held == [f"diabetes-{number}" for number in range(7, 12)]


def test_why_it_takes_no_tasks_while_the_server_does_not_answer(worker: Worker) -> None:
    worker.follower.catch_up()
    worker.server.away = True
    worker.follower.leave(NEW)
    assert not worker.follower.catch_up()
    assert not worker.takes_tasks
    assert worker.follower.missing == {NEW: "no answer"}
