"""The service on a Docker swarm: containers are replaced, and updates fail no request."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from production_server.model.registry import SHIPPED, Registry
from tests.support.images import Images
from tests.support.other_models import OLD_MODELS, add_old_model
from tests.support.rows import keras_predictions
from tests.support.steady_load import PATIENT
from tests.support.swarm import STACK, Swarm, answered, failures, wait_for

RATE, SECONDS = 50, 60
VOLUMES = {f"{STACK}_{name}" for name in ("jobs", "models", "queues")}


@pytest.fixture(scope="module")
def swarm(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    swarm = Swarm(images, tmp_path_factory.mktemp("swarm"))
    swarm.start()
    yield swarm
    swarm.stop()


@pytest.fixture
def stack(swarm: Swarm) -> Iterator[Swarm]:
    """Three web and three worker containers of the first image."""
    swarm.deploy(swarm.image)
    swarm.wait_until_complete()
    yield swarm
    swarm.remove()


def layered(swarm: Swarm, tag: str, folder: Path, version: str) -> str:
    """The first image with another model, which is newer than its own."""
    place = f"/opt/stackserve/app/production_server/shipped/{version}"
    text = f"FROM {swarm.image}\nCOPY {version} {place}\n"
    (folder / "Dockerfile").write_text(text)
    swarm.engine.docker("build", f"--tag={tag}", str(folder))
    return tag


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The shipped model, and another one for the same rows."""
    registry = Registry(tmp_path_factory.mktemp("models") / "registry")
    registry.seed()
    add_old_model(registry, OLD_MODELS[0])
    return registry


def test_a_stack_answers_and_leaves_nothing_but_its_volumes(swarm: Swarm) -> None:
    swarm.deploy(swarm.image, replicas=1)
    swarm.wait_until_complete()
    outcomes = swarm.load(10, 2)
    assert len(outcomes) == 20 and failures(outcomes) == []
    swarm.remove()
    assert swarm.volumes() == VOLUMES


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_containers_are_replaced(stack: Swarm) -> None:
    """No request fails if a worker or the recorder dies; RabbitMQ passes on what it had."""
    for service, count in (("worker", 3), ("recorder", 1), ("web", 3)):
        killed = sorted(stack.containers(service))[0]
        process = int(stack.engine.inspect(killed)["State"]["Pid"])
        with stack.under_load(RATE, 20) as outcomes:
            os.kill(process, signal.SIGKILL)
            wait_for(
                lambda killed=killed, service=service, count=count: (  # type: ignore[misc]
                    len(stack.containers(service) - {killed}) == count
                ),
                f"the {service} is not replaced",
            )
        if service != "web":
            assert failures(outcomes) == []
    assert failures(stack.load(RATE, 2)) == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_update_to_another_model_fails_no_request(
    stack: Swarm, models: Registry, tmp_path: Path
) -> None:
    old, new = models.versions()
    expected = {
        (version, round(float(keras_predictions(models, models.card(version), [PATIENT])[0, 0]), 4))
        for version in (old, new)
    }
    assert len({probability for _, probability in expected}) == 2
    shutil.copytree(models.path / new, tmp_path / new)
    image = layered(stack, "stackserve:test-other-model", tmp_path, new)
    with stack.under_load(RATE, SECONDS) as outcomes:
        stack.deploy(image)
        stack.wait_until_updated("completed")
    assert failures(outcomes) == []
    assert set(answered(outcomes)) == expected
    assert {version for version, _ in answered(stack.load(RATE, 2))} == {new}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_model_that_does_not_load_is_never_used(stack: Swarm, tmp_path: Path) -> None:
    """The workers roll back by themselves. The web tier has no fault, and goes on."""
    version = "diabetes-9"
    before = set(answered(stack.load(RATE, 2)))
    shutil.copytree(SHIPPED / Registry(SHIPPED).versions()[-1], tmp_path / version)
    model, card = tmp_path / version / "model.keras", tmp_path / version / "card.json"
    model.write_bytes(b"not a model")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    told = json.loads(card.read_text()) | {"version": version, "model_sha256": digest}
    card.write_text(json.dumps(told))
    image = layered(stack, "stackserve:test-broken-model", tmp_path, version)
    with stack.under_load(RATE, SECONDS) as outcomes:
        stack.deploy(image)
        stack.wait_until_updated("completed", "rollback_completed")
    assert stack.updates()["worker"] == "rollback_completed"
    assert failures(outcomes) == []
    assert set(answered(outcomes)) == before


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_web_tier_that_does_not_start_is_rolled_back(stack: Swarm) -> None:
    before = stack.containers("web")
    with stack.under_load(RATE, SECONDS) as outcomes:
        stack.deploy(stack.image, argument="no-such-argument")
        wait_for(
            lambda: stack.updates()["web"] == "rollback_completed",
            "the web tier is not rolled back",
        )
    assert failures(outcomes) == []
    assert len(stack.containers("web")) == 3 and stack.containers("web") & before
