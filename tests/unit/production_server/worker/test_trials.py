"""Workers load the version on trial beside the active one, and one that fails harms nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from production_server.messaging.model_parts import Active
from production_server.model import rollout
from production_server.model.registry import Registry
from production_server.model.rollout import Candidate
from tests.unit.production_server.worker.test_follower import NEW, OLD, Cache, Worker


def add(registry: Registry) -> str:
    return registry.add(registry.card(OLD), registry.model_path(OLD)).version


def try_out(registry: Registry, version: str) -> None:
    rollout.start(registry, Candidate(version=version, share=0.5))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry(tmp_path / "models")
    found.seed()
    return found


def test_a_worker_starts_with_both(registry: Registry) -> None:
    version = add(registry)
    try_out(registry, version)
    cache = Cache(registry)
    cache.watch()
    cache.stop()
    assert cache.versions() == [OLD, version]


def test_a_candidate_that_fails_does_not_stop_a_worker(registry: Registry) -> None:
    version = add(registry)
    try_out(registry, version)
    cache = Cache(registry)
    cache.broken.add(version)
    cache.watch()
    cache.stop()
    assert cache.versions() == [OLD]
    assert cache.failures == 1


def test_other_versions_never_displace_those_in_use(registry: Registry) -> None:
    versions = [add(registry) for _ in range(5)]
    try_out(registry, versions[0])
    cache = Cache(registry)
    cache.watch()
    cache.stop()
    for version in versions[1:]:
        cache.get(version)
        assert cache.versions() == [OLD, versions[0], version]


def test_a_worker_vm_gets_the_candidate_too(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    version = add(worker.server.registry)
    try_out(worker.server.registry, version)
    assert worker.follower.catch_up()
    assert worker.server.fetched == [NEW]
    assert worker.cache.versions() == [OLD, NEW]
    found = rollout.candidate(worker.registry)
    assert found == rollout.candidate(worker.server.registry)
    assert worker.registry.active() == OLD
    rollout.promote(worker.server.registry)
    assert worker.follower.catch_up()
    assert worker.registry.active() == NEW
    assert rollout.candidate(worker.registry) is None


def test_a_worker_vm_keeps_answering_without_the_candidate(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    version = add(worker.server.registry)
    try_out(worker.server.registry, version)
    worker.cache.broken.add(version)
    assert not worker.follower.catch_up()
    assert worker.takes_tasks
    assert list(worker.follower.missing) == [version]
    assert rollout.candidate(worker.registry) is None
    rollout.withdraw(worker.server.registry)
    assert worker.follower.catch_up()
    assert worker.follower.missing == {}


def test_servers_and_workers_of_an_older_release() -> None:
    digest = "0" * 64
    told = {"version": OLD, "digest": digest, "something_newer": {}}
    assert Active.model_validate(told) == Active(version=OLD, digest=digest, trial=None)
