"""The plan with baked images in the project: which one it uses, and the reason it gives."""

from __future__ import annotations

import dataclasses

from openstack_client.cli.tables import plan_json
from openstack_client.cloud.resources import Flavor, Image
from openstack_client.plan import baked_images, choices
from openstack_client.plan.baked_images import Recipe
from openstack_client.plan.decide import decide
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Parcel, Plan
from openstack_client.roles import ours
from openstack_client.settings import merge
from tests.unit.openstack_client.plan.test_decide import FACTS, KEY, ME

RECIPE = Recipe("p", "c0de", "l", "i")
PARCEL = Parcel(b"data", "c0de", "d1ge57", b"payload", RECIPE)
BASE = FACTS.images[0]
BAKED = Image(
    "b",
    "baked-image",
    min_disk_gb=8,
    created="5",
    owner=ME.project_id,
    distro="debian",
    version="12",
    properties=baked_images.properties(RECIPE, BASE, "s") | {"instance_uuid": "s"},
)


def plan(
    *images: Image, stock_only: bool = False, parcel: Parcel = PARCEL, **flags: object
) -> Plan:
    facts = dataclasses.replace(FACTS, images=(BASE, *images))
    return decide(
        merge(flags, {}, None)[0],
        facts,
        Inventory("stackserve"),
        identity=ME,
        key=KEY,
        parcel=parcel,
        role=ours("image" if stock_only else "server"),
    )


def test_a_baked_image_is_used_by_default_and_the_plan_says_why() -> None:
    made = plan(BAKED)
    assert made.problems == []
    assert made.front.image is BAKED
    assert plan_json(made, "")["image"] == {
        "id": "b",
        "name": "baked-image",
        "why": "baked from Debian 12: it has this code and its dependencies",
    }


def test_the_plan_knows_whether_the_image_holds_the_code() -> None:
    """Then the launcher does not bother a booting server."""
    assert plan(BAKED).front.image_has_code
    assert not plan().front.image_has_code
    changed = dataclasses.replace(RECIPE, payload="another model")
    other = plan(BAKED, parcel=dataclasses.replace(PARCEL, recipe=changed))
    assert other.front.image is BAKED and not other.front.image_has_code


def test_a_named_image_is_used() -> None:
    made = plan(BAKED, image=BASE.name)
    assert (made.front.image, made.front.image_why) == (BASE, "as requested")
    assert plan(BAKED, image="baked-image").front.image is BAKED


def test_bake_itself_starts_from_a_stock_image() -> None:
    assert plan(BAKED, stock_only=True).front.image is BASE


def test_a_baked_image_too_large_for_the_flavor_is_not_used() -> None:
    facts = dataclasses.replace(
        FACTS, images=(BASE, BAKED), flavors=(Flavor("f", "small", 2, 2048, 7),)
    )
    made = decide(
        merge({"flavor": "small"}, {}, None)[0],
        facts,
        Inventory("stackserve"),
        identity=ME,
        key=KEY,
        parcel=PARCEL,
    )
    assert made.problems == []
    assert made.front.image is BASE
    assert "'baked-image' needs a larger flavor" in made.front.image_why


def test_a_snapshot_of_a_live_server_is_never_the_newest_image() -> None:
    snapshot = dataclasses.replace(
        BAKED, created="9", properties={**BAKED.properties, "instance_uuid": "live"}
    )
    made = plan(snapshot)
    assert made.front.image is BASE
    facts = dataclasses.replace(FACTS, images=(BASE, snapshot))
    assert choices.image(None, facts).value is BASE
