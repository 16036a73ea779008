"""bake on fake servers, which never become clean: nothing is left, whatever happens."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from openstack_client import settings
from openstack_client.plan import baked_images
from openstack_client.plan.make import parcel as render_parcel
from openstack_client.plan.model import Parcel
from tests.lab.deploy.conftest import Launcher, faulty_network, launcher_of
from tests.support.lab_project import Project

NothingLeft = Callable[[], None]


@pytest.fixture
def images(project: Project) -> Iterator[Callable[..., str]]:
    """Creates images with the properties of baked ones; deletes them in the end."""
    own = project.connection()
    made = []
    base = next(image for image in own.image.images() if image.name.startswith("debian"))

    def make(name: str, **changed: str) -> str:
        parcel = render_parcel(settings.Settings())
        assert isinstance(parcel, Parcel) and parcel.recipe
        recipe = parcel.recipe
        properties = {
            baked_images.PAYLOAD: recipe.payload,
            baked_images.CODE: recipe.code,
            baked_images.LOCK: recipe.lock,
            baked_images.CLOUD_INIT: recipe.cloud_init,
            baked_images.BASE: base.id,
            baked_images.BUILDER: "builder",
            "instance_uuid": "builder",
            "os_distro": "debian",
            "os_version": "12",
        }
        image = own.image.create_image(
            name,
            disk_format="raw",
            container_format="bare",
            data=b"a disk" * 100,
            wait=True,
            allow_duplicates=True,
            **(properties | changed),
        )
        made.append(image.id)
        return str(image.id)

    yield make
    for image in made:
        own.image.delete_image(image, ignore_missing=True)


def present(project: Project) -> set[str]:
    return {image.id for image in project.connection().image.images()}


@dataclass(frozen=True)
class Ended:
    """A finished bake; `builder` is the name of its builder's deployment."""

    words: str
    code: int
    builder: str


WAYS = {
    "times out": ("--timeout-ready", "3"),
    "stopped by Ctrl-C": (),
    "shut down": (),
    "kept": ("--keep", "--timeout-ready", "3"),
}


@pytest.fixture(scope="module")
def bakes(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Ended]]:
    """A bake for each way to end, all in parallel, each with its own builder."""
    before = present(project)
    with faulty_network() as network, ThreadPoolExecutor(len(WAYS)) as pool:
        started = {
            way: pool.submit(
                bake, project, launcher_of(project, network, tmp_path_factory.mktemp("bake")), way
            )
            for way in WAYS
        }
        yield {way: run.result() for way, run in started.items()}
    assert present(project) == before


def bake(project: Project, launcher: Launcher, way: str) -> Ended:
    """Start a bake, interfere as `way` says once its builder has an address, and wait for it."""
    process = launcher.start_verb("bake", *WAYS[way])
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "addressed done" in line:
            break
    builder = re.search(r"Plan for '(bake-[0-9a-f]+)'", "".join(seen))
    assert builder, "".join(seen)
    if way == "stopped by Ctrl-C":
        process.send_signal(signal.SIGINT)
    elif way == "shut down":
        compute = project.connect().compute
        for server in compute.servers(name=f"stackserve-{builder[1]}"):
            compute.stop_server(server)
    out, _ = process.communicate(timeout=100)
    return Ended(" ".join(("".join(seen) + out).split()), process.returncode, builder[1])


def left_of(project: Project, ended: Ended) -> list[str]:
    return [left for left in project.leftovers() if ended.builder in left]


def document(text: str) -> Any:
    return json.loads(text)


def test_a_builder_that_never_becomes_clean_is_deleted(
    bakes: dict[str, Ended], project: Project
) -> None:
    ended = bakes["times out"]
    assert ended.code == 8, ended.words
    assert "The builder is not finished after 3 s. Missing: booting" in ended.words
    assert "Everything this run created was deleted" in ended.words
    assert left_of(project, ended) == []


def test_ctrl_c_deletes_the_builder(bakes: dict[str, Ended], project: Project) -> None:
    ended = bakes["stopped by Ctrl-C"]
    assert ended.code == 130, ended.words
    assert "Everything this run created was deleted" in ended.words
    assert left_of(project, ended) == []


def test_a_builder_shut_down_by_someone_is_not_used(
    bakes: dict[str, Ended], project: Project
) -> None:
    ended = bakes["shut down"]
    assert ended.code == 6, ended.words
    assert "before it reported that it was clean" in ended.words
    assert left_of(project, ended) == []


def test_keep_leaves_the_builder_and_says_how_to_delete_it(
    bakes: dict[str, Ended], launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    ended = bakes["kept"]
    assert ended.code == 8, ended.words
    assert f"`delete {ended.builder}`" in ended.words
    kinds = [left.split()[0] for left in left_of(project, ended)]
    assert kinds == ["server", "keypair", "group", "port"]
    assert launcher.run("delete", ended.builder, "--yes").exit_code == 0
    nothing_left()


def test_the_plan_uses_a_baked_image_and_a_second_bake_finds_it(
    launcher: Launcher, images: Callable[..., str], nothing_left: NothingLeft
) -> None:
    image = images("good")
    plan = document(launcher.run("plan", "--json").stdout)
    assert plan["image"]["id"] == image, plan["image"]
    assert "it has this code and its dependencies" in plan["image"]["why"]
    assert launcher.run("plan").stdout.count("'good': baked from debian") == 1
    named = document(launcher.run("plan", "--json", "--image", "debian-12").stdout)
    assert (named["image"]["name"], named["image"]["why"]) == ("debian-12", "as requested")
    found = document(launcher.run("bake", "--json").stdout)
    assert (found["image"], found["found"]) == (image, True)
    nothing_left()


def test_prune_deletes_only_stale_images(
    launcher: Launcher, project: Project, images: Callable[..., str]
) -> None:
    good = images("good")
    stale = {
        images("other-lock", **{baked_images.LOCK: "x"}),
        images("older-base", **{baked_images.BASE: "x"}),
    }
    in_use = images("snapshot-of-a-server", instance_uuid="somebody's server")
    refused = launcher.run("bake", "--prune", "--json")
    assert refused.exit_code == 2
    assert stale < present(project)
    deleted = document(launcher.run("bake", "--prune", "--yes", "--json").stdout)["deleted"]
    assert {row["id"] for row in deleted} == stale
    assert {good, in_use} <= present(project)
    assert not stale & present(project)
    again = document(launcher.run("bake", "--prune", "--yes", "--json").stdout)
    assert again == {"deleted": []}
