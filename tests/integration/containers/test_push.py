"""Images go to a real registry, with an account that nothing keeps, and come back by digest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from openstack_client.containers.settings import PASSWORD, USERNAME
from tests.support import image_registry
from tests.support.containers import running
from tests.support.images import Images
from tests.support.rows import PATIENT

ACCOUNT = {USERNAME: image_registry.USERNAME, PASSWORD: image_registry.PASSWORD}


@pytest.fixture(scope="module")
def tag(
    images: Images,
    needs: Callable[[object, str], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """A name of the image in a registry that runs."""
    package = "docker-registry is missing: apt-get install docker-registry"
    needs(image_registry.PROGRAM.exists(), package)
    with image_registry.registry(images.engine, tmp_path_factory.mktemp("registry")) as host:
        name = f"{host}/course/stackserve:3"
        images.engine.docker("tag", images.image, name)
        yield name
        images.engine.docker("rmi", name)


def test_what_was_pushed_comes_back_by_its_digest_and_predicts(images: Images, tag: str) -> None:
    done = images.launcher("push", tag, "--json", more=ACCOUNT)
    assert done.returncode == 0, done.stderr
    (pushed,) = json.loads(done.stdout)["images"]
    assert pushed["reference"] == f"{tag.rpartition(':')[0]}@{pushed['digest']}"
    assert image_registry.PASSWORD not in done.stdout + done.stderr

    folder = Path(images.environment["DOCKER_CONFIG"])
    assert not (folder / "config.json").exists(), "the account must not be stored"
    engine = images.engine
    feed = image_registry.PASSWORD.encode()
    account = ("--username", image_registry.USERNAME, "--password-stdin")
    engine.docker("login", *account, image_registry.ADDRESS, feed=feed)
    try:
        engine.docker("pull", pushed["reference"])
    finally:
        engine.docker("logout", image_registry.ADDRESS)
        (folder / "config.json").unlink()
    with running(engine, pushed["reference"]) as container:
        assert container.get("/predict", **PATIENT)["version"] == "diabetes-1"


def test_a_wrong_password_is_named_as_such(images: Images, tag: str) -> None:
    done = images.launcher("push", tag, more=ACCOUNT | {PASSWORD: "wrong"})
    assert done.returncode == 3
    assert f"refused the account '{image_registry.USERNAME}'" in done.stderr
    assert PASSWORD in done.stderr and "Traceback" not in done.stderr


def test_without_an_account_it_says_how_to_give_one(images: Images, tag: str) -> None:
    done = images.launcher("push", tag)
    assert done.returncode == 13 and USERNAME in done.stderr


def test_an_image_that_does_not_exist(images: Images, tag: str) -> None:
    done = images.launcher("push", f"{image_registry.ADDRESS}/none:1", "--json", more=ACCOUNT)
    assert done.returncode == 13 and json.loads(done.stdout)["code"] == "image"
