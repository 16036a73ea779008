"""The machine that `bake` saves as an image for a role, and what makes an image fit."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import yaml

from openstack_client.errors import SettingsError
from openstack_client.plan import make
from openstack_client.plan.baked_images import Recipe
from openstack_client.plan.model import Parcel
from openstack_client.roles import Ask, Role, builder, ours, read
from openstack_client.settings import Settings
from tests.support.own_role import copy_of_hello

STAMPED = ("limit = 60", "limit = 60\nin_image = true")


def parcel(role: Role) -> Parcel:
    made = make.parcel(Settings(name="web"), role)
    assert isinstance(made, Parcel), made
    return made


def recipe(role: Role) -> Recipe:
    found = parcel(role).recipe
    assert found is not None
    return found


def test_it_runs_the_marked_steps_forgets_and_switches_off(tmp_path: Path) -> None:
    own = builder(read(copy_of_hello(tmp_path, "mine")))
    assert own.stages == ("booting", "packages", "clean")
    assert own.steps["clean"].after == ("booting", "packages")
    assert own.ready.ask is Ask.OFF and not own.baked_image
    more = builder(read(copy_of_hello(tmp_path, "more", role_toml=STAMPED)))
    assert more.stages == ("booting", "packages", "page", "clean")


def test_its_last_step_does_not_wait_for_itself() -> None:
    """forget.sh waits until cloud-init ends, which elsewhere waits for the steps."""
    role = ours("hello")
    for one, waits in ((role, True), (builder(role), False)):
        config = yaml.safe_load(gzip.decompress(parcel(one).data))
        assert ("runcmd" in config) is waits
        written = {file["path"].rsplit("/", 1)[-1] for file in config["write_files"]}
        assert ("forget.sh" in written) is not waits
        settings = next(
            file["content"] for file in config["write_files"] if file["path"].endswith("tings.env")
        )
        assert ("SWITCH_OFF=yes" in settings) is not waits


def test_roles_with_our_code_share_one_image() -> None:
    assert builder(ours("server")) is ours("image")
    assert recipe(ours("server")) == recipe(ours("image")) and recipe(ours("server")).role == ""


def test_a_role_without_baked_images_is_refused(tmp_path: Path) -> None:
    own = copy_of_hello(tmp_path, "mine", role_toml=("baked_image = true\n", ""))
    with pytest.raises(SettingsError, match="Role 'mine' does not start from a baked image") as no:
        builder(read(own))
    assert f"baked_image = true` in {own / 'role.toml'}" in no.value.remedy
    assert parcel(read(own)).recipe is None


def test_the_image_fits_until_what_is_in_it_changes(tmp_path: Path) -> None:
    role = read(copy_of_hello(tmp_path, "mine"))
    made = recipe(builder(role))
    assert made == recipe(role) and made.role == "mine"
    (role.folder / "index.html").write_text("another page")
    changed = recipe(read(role.folder))
    assert (changed.lock, changed.payload) == (made.lock, made.payload)
    assert changed.cloud_init != made.cloud_init
    declared = role.folder / "role.toml"
    declared.write_text(declared.read_text().replace('"nginx-light"', '"nginx-light", "bc"'))
    assert recipe(read(role.folder)).lock != made.lock


def test_a_step_in_the_image_needs_those_before_it_there(tmp_path: Path) -> None:
    more = 'limit = 60\n\n[step.more]\nprogram = "page.sh"\nafter = ["page"]\nin_image = true'
    own = copy_of_hello(tmp_path, "mine", role_toml=("limit = 60", more))
    declared = own / "role.toml"
    declared.write_text(declared.read_text().replace('"page"]', '"page", "more"]', 1))
    with pytest.raises(SettingsError) as refused:
        read(own)
    told = str(refused.value.problems[0])
    assert "step 'more' is in_image, but comes after page, which is not" in told
