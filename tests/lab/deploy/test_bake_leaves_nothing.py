"""bake on pretended servers, which never become clean: whatever happens, nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from openstack_client import baked, launch, settings
from openstack_client.plan import Parcel
from tests.lab.deploy.conftest import ROOT, Launcher
from tests.support.lab_project import Project

NothingLeft = Callable[[], None]


@pytest.fixture
def images(project: Project) -> Iterator[Callable[..., str]]:
    """Makes images that say what they were baked of; they go at the end."""
    own = project.connection()
    made = []
    base = next(image for image in own.image.images() if image.name.startswith("debian"))

    def make(name: str, **told: str) -> str:
        parcel = launch.parcel(settings.Settings())
        assert isinstance(parcel, Parcel) and parcel.recipe
        recipe = parcel.recipe
        properties = {
            baked.PAYLOAD: recipe.payload, baked.CODE: recipe.code, baked.LOCK: recipe.lock,
            baked.CLOUD_INIT: recipe.cloud_init, baked.BASE: base.id, baked.BUILDER: "builder",
            "instance_uuid": "builder", "os_distro": "debian", "os_version": "12",
        }  # fmt: skip
        image = own.image.create_image(
            name, disk_format="raw", container_format="bare", data=b"a disk" * 100, wait=True,
            allow_duplicates=True, **(properties | told),
        )  # fmt: skip
        made.append(image.id)
        return str(image.id)

    yield make
    for image in made:
        own.image.delete_image(image, ignore_missing=True)


def present(project: Project) -> set[str]:
    return {image.id for image in project.connection().image.images()}


def start_bake(launcher: Launcher) -> subprocess.Popen[str]:
    """A bake in a process of its own, once its builder has an address."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "openstack_client", "bake"], cwd=launcher.folder, text=True,
        env={**kept, **launcher.env, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "addressed done" in line:
            return process
    raise AssertionError("".join(seen))


def document(text: str) -> Any:
    return json.loads(text)


def test_a_builder_that_never_is_clean_is_taken_away(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    before = present(project)
    ended = launcher.run("bake", "--timeout-ready", "2")
    assert ended.exit_code == 8
    assert "the builder has not done: booting" in launcher.words(ended)
    assert "Nothing of this run is left" in launcher.words(ended)
    assert present(project) == before
    nothing_left()


def test_ctrl_c_takes_the_builder_away(launcher: Launcher, nothing_left: NothingLeft) -> None:
    process = start_bake(launcher)
    process.send_signal(signal.SIGINT)
    words, _ = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Nothing of this run is left" in words
    nothing_left()


def test_a_builder_that_somebody_switches_off_is_no_image(
    launcher: Launcher, project: Project, nothing_left: NothingLeft
) -> None:
    before = present(project)
    process = start_bake(launcher)
    own = project.connection()
    for server in own.compute.servers():
        own.compute.stop_server(server)
    words, _ = process.communicate(timeout=90)
    assert process.returncode == 6
    assert "before it said that it was clean" in " ".join(words.split())
    assert present(project) == before
    nothing_left()


def test_keep_leaves_the_builder_and_says_how_to_remove_it(
    launcher: Launcher, nothing_left: NothingLeft
) -> None:
    ended = launcher.run("bake", "--keep", "--timeout-ready", "2")
    assert ended.exit_code == 8
    words = launcher.words(ended)
    name = words.split("`delete ")[1].split("`")[0]
    assert name.startswith("bake-")
    assert launcher.run("delete", name, "--yes").exit_code == 0
    nothing_left()


def test_the_plan_uses_a_baked_image_and_a_second_bake_finds_it(
    launcher: Launcher, images: Callable[..., str], nothing_left: NothingLeft
) -> None:
    image = images("good")
    plan = document(launcher.run("plan", "--json").stdout)
    assert plan["image"]["id"] == image, plan["image"]
    assert "it has this code and its dependencies" in plan["image"]["why"]
    assert launcher.run("plan").stdout.count("'good': baked of debian") == 1
    named = document(launcher.run("plan", "--json", "--image", "debian-12").stdout)
    assert (named["image"]["name"], named["image"]["why"]) == ("debian-12", "as asked")
    found = document(launcher.run("bake", "--json").stdout)
    assert (found["image"], found["found"]) == (image, True)
    nothing_left()


def test_prune_removes_the_stale_ones_alone(
    launcher: Launcher, project: Project, images: Callable[..., str]
) -> None:
    good = images("good")
    stale = {images("other-lock", **{baked.LOCK: "x"}), images("older-base", **{baked.BASE: "x"})}
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
