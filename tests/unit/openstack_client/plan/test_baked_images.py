"""Which images count as baked, which one a deploy uses, and which are stale."""

from __future__ import annotations

import dataclasses

import pytest

from openstack_client.cloud.resources import Image
from openstack_client.plan import baked_images
from openstack_client.plan.baked_images import Match, Recipe

PROJECT = "p1"
BASE = Image(
    "d12",
    "debian-12",
    distro="debian",
    version="12",
    default_user="debian",
    created="1",
    properties={"os_distro": "debian", "hw_disk_bus": "virtio"},
)
NEWER_BASE = dataclasses.replace(BASE, id="d12b", name="debian-12-new", created="9")
WANTED = Recipe(payload="p", code="c", lock="l", cloud_init="i")


def image(
    name: str = "baked",
    made_of: Recipe = WANTED,
    *,
    base: Image = BASE,
    builder: str = "b1",
    snapshot_of: str = "b1",
    created: str = "5",
    status: str = "active",
    owner: str = PROJECT,
) -> Image:
    values = baked_images.properties(made_of, base, builder) | {"instance_uuid": snapshot_of}
    return Image(
        f"id-{name}",
        name,
        status=status,
        owner=owner,
        created=created,
        properties=values,
        distro="debian",
        version="12",
    )


def changed(**parts: str) -> Recipe:
    return dataclasses.replace(WANTED, **parts)


def chosen(*images: Image) -> tuple[str, str]:
    found, why = baked_images.choose([BASE, *images], WANTED, BASE, PROJECT)
    return found.name, why


def test_images_of_other_roles_are_neither_used_nor_stale() -> None:
    theirs = image("theirs", changed(role="hello"))
    assert chosen(theirs)[0] == BASE.name
    assert baked_images.stale([BASE, theirs], WANTED, BASE, PROJECT) == []
    wanted = changed(role="hello", cloud_init="other")
    found, why = baked_images.choose([BASE, theirs, image()], wanted, BASE, PROJECT)
    assert (found.name, why) == ("theirs", "baked from debian-12: for role 'hello'")


def test_properties_are_read_back() -> None:
    found = baked_images.read(image(), PROJECT)
    assert found is not None
    assert (found.recipe, found.base) == (WANTED, BASE.id)


def test_the_system_properties_are_copied() -> None:
    copied = image().properties
    assert (copied["os_distro"], copied["os_version"], copied["os_admin_user"]) == (
        "debian",
        "12",
        "debian",
    )
    assert "architecture" not in copied


def test_a_snapshot_of_a_server_with_secrets_is_not_baked() -> None:
    """Nova copies all properties to it except the server it was taken from."""
    later = image(snapshot_of="a-server-in-use")
    assert baked_images.read(later, PROJECT) is None
    assert baked_images.is_derived(later)
    assert chosen(later)[0] == BASE.name


def test_another_projects_image_is_not_trusted() -> None:
    assert baked_images.read(image(owner="p2"), PROJECT) is None
    assert chosen(image(owner="p2"))[0] == BASE.name


@pytest.mark.parametrize(
    "missing", [baked_images.PAYLOAD, baked_images.LOCK, baked_images.BASE, "instance_uuid"]
)
def test_an_image_with_missing_properties_is_not_baked(missing: str) -> None:
    partial = {key: value for key, value in image().properties.items() if key != missing}
    assert baked_images.read(dataclasses.replace(image(), properties=partial), PROJECT) is None


def test_a_stock_image_is_not_baked() -> None:
    assert baked_images.read(BASE, PROJECT) is None
    assert not baked_images.is_derived(BASE)


@pytest.mark.parametrize(
    ("made_of", "fits"),
    [
        (WANTED, Match.ALL),
        (changed(cloud_init="x"), Match.PAYLOAD),
        (changed(payload="x", code="x"), Match.DEPENDENCIES),
        (changed(payload="x"), Match.DEPENDENCIES),
        (changed(lock="x"), None),
    ],
    ids=["all", "other templates", "other code", "other model", "other dependencies"],
)
def test_how_well_an_image_fits(made_of: Recipe, fits: Match | None) -> None:
    found = baked_images.read(image(made_of=made_of), PROJECT)
    assert found is not None
    assert baked_images.match(found, WANTED, BASE) is fits
    assert chosen(image(made_of=made_of))[0] == ("baked" if fits else BASE.name)


def test_an_image_with_an_older_base_is_not_used() -> None:
    found, why = baked_images.choose([image(), NEWER_BASE], WANTED, NEWER_BASE, PROJECT)
    assert found is NEWER_BASE
    assert "its base image is not" in why


def test_an_image_still_being_saved_is_not_used() -> None:
    name, why = chosen(image(status="saving"))
    assert name == BASE.name
    assert "it is saving" in why


def test_a_more_complete_image_wins_over_a_newer_one() -> None:
    more = image("more", created="2")
    newer = image("newer", changed(payload="x"), created="8")
    assert chosen(newer, more) == (
        "more",
        "baked from debian-12: it has this code and its dependencies",
    )


def test_the_newest_of_equal_images_wins() -> None:
    assert chosen(image("old", created="2"), image("new", created="3"))[0] == "new"


def test_the_reason_says_that_the_code_is_sent_separately() -> None:
    assert "the code is sent separately" in chosen(image(made_of=changed(payload="x")))[1]


def test_the_reason_says_why_a_baked_image_is_not_used() -> None:
    name, why = chosen(image(made_of=changed(lock="x")))
    assert name == BASE.name
    assert "'baked' does not fit: its dependencies differ" in why


def test_without_baked_images_the_reason_does_not_mention_them() -> None:
    assert chosen() == ("debian-12", "the newest Debian or Ubuntu image")


def test_unused_baked_images_are_stale() -> None:
    images = [
        BASE,
        image("best"),
        image("older", created="2"),
        image("less", changed(payload="x"), created="8"),
        image("other-lock", changed(lock="x")),
        image("other-base", base=NEWER_BASE),
        image("of-a-server", snapshot_of="a-server-in-use"),
        image("of-others", owner="p2"),
        image("under-way", status="saving"),
    ]
    found = {
        entry.image.name: entry.why for entry in baked_images.stale(images, WANTED, BASE, PROJECT)
    }
    assert set(found) == {"older", "less", "other-lock", "other-base"}
    assert "'best'" in found["older"]
    assert "'best'" in found["less"]
    assert "dependencies" in found["other-lock"]
    assert "base image" in found["other-base"]


def test_the_recipe_depends_on_each_part_but_not_on_order() -> None:
    files = {"a": b"1", "b": b"2"}
    first = baked_images.recipe(b"payload", "c0de", "lock", files)
    assert first == baked_images.recipe(b"payload", "c0de", "lock", dict(reversed(files.items())))
    assert first.payload != baked_images.recipe(b"other", "c0de", "lock", files).payload
    assert first.lock != baked_images.recipe(b"payload", "c0de", "other", files).lock
    assert (
        first.cloud_init != baked_images.recipe(b"payload", "c0de", "lock", {"a": b"12"}).cloud_init
    )
    moved = baked_images.recipe(b"payload", "c0de", "lock", {"a": b"", "b": b"12"})
    assert first.cloud_init != moved.cloud_init
