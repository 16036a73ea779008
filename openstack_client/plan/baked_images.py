"""Which of the project's images were baked, what is in them, and which one a deploy may use. Pure.

A baked image says in its properties what it was made of, each part by its hash. Nova hands
properties on to every later snapshot, also to one of a server that has secrets by now; so only
the snapshot of the very server that was built for it counts as baked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from openstack_client.cloud.resources import SNAPSHOT_OF, Image

PREFIX = "stackserve_"
PAYLOAD, CODE, LOCK = f"{PREFIX}payload", f"{PREFIX}code", f"{PREFIX}lock"
CLOUD_INIT, BASE, BUILDER = f"{PREFIX}cloud_init", f"{PREFIX}base_image", f"{PREFIX}builder"
# What later servers and their launcher need to know of the system; Nova mostly hands it on.
KEPT = ("os_distro", "os_version", "os_admin_user", "architecture")


@dataclass(frozen=True)
class Recipe:
    """What goes into an image, each part by its hash."""

    payload: str
    """Code and model, as they are delivered."""
    code: str
    lock: str
    """The locked dependencies."""
    cloud_init: str
    """The programs and files that the user data writes."""


class Match(IntEnum):
    """How much of a deploy an image has already; the more, the better."""

    DEPENDENCIES = 1
    PAYLOAD = 2
    ALL = 3


WORDS = {
    Match.DEPENDENCIES: "it has the same dependencies; the code is handed over",
    Match.PAYLOAD: "it has this code and its dependencies",
    Match.ALL: "it has this code and its dependencies",
}


@dataclass(frozen=True)
class Baked:
    """An image that `bake` made."""

    image: Image
    recipe: Recipe
    base: str


@dataclass(frozen=True)
class Stale:
    """A baked image that no deploy from here would use, and why."""

    image: Image
    why: str


def recipe(payload: bytes, code: str, lock: str, files: Mapping[str, bytes]) -> Recipe:
    """The recipe of what is on the disk; `files` are those of cloud-init/ by their path."""
    written = hashlib.sha256()
    for name in sorted(files):
        written.update(f"{name}\0{len(files[name])}\0".encode())
        written.update(files[name])
    return Recipe(
        payload=hashlib.sha256(payload).hexdigest(),
        code=code,
        lock=hashlib.sha256(lock.encode()).hexdigest(),
        cloud_init=written.hexdigest(),
    )


def properties(made_of: Recipe, base: Image, builder: str) -> dict[str, str]:
    """What the image says about itself in Glance."""
    told = {
        PAYLOAD: made_of.payload,
        CODE: made_of.code,
        LOCK: made_of.lock,
        CLOUD_INIT: made_of.cloud_init,
        BASE: base.id,
        BUILDER: builder,
    }
    system: dict[str, Any] = {
        **base.properties,
        "os_distro": base.distro,
        "os_version": base.version,
        "os_admin_user": base.default_user,
        "architecture": base.architecture,
    }
    return told | {name: str(system[name]) for name in KEPT if system.get(name)}


def claims_to_be(image: Image) -> bool:
    """Whether it comes from a baked image, be it the image itself or a snapshot of its server."""
    return BUILDER in image.properties


def read(image: Image, project: str) -> Baked | None:
    """What is in the image, if `bake` made it in this project."""
    told = {name: str(value) for name, value in image.properties.items()}
    names = (PAYLOAD, CODE, LOCK, CLOUD_INIT, BASE, BUILDER)
    if any(name not in told for name in names):
        return None
    # In a public cloud anybody may offer an image that says anything.
    if image.owner != project or told.get(SNAPSHOT_OF) != told[BUILDER]:
        return None
    made_of = Recipe(told[PAYLOAD], told[CODE], told[LOCK], told[CLOUD_INIT])
    return Baked(image, made_of, told[BASE])


def of_project(images: Iterable[Image], project: str) -> list[Baked]:
    """All baked images of the project, the newest first."""
    found = [baked for image in images if (baked := read(image, project))]
    return sorted(found, key=lambda baked: (baked.image.created, baked.image.id), reverse=True)


def match(baked: Baked, wanted: Recipe, base: Image) -> Match | None:
    """How well the image fits, None if not at all."""
    if baked.image.status != "active" or baked.base != base.id or baked.recipe.lock != wanted.lock:
        return None
    if baked.recipe.payload != wanted.payload:
        return Match.DEPENDENCIES
    return Match.ALL if baked.recipe.cloud_init == wanted.cloud_init else Match.PAYLOAD


def best(
    images: Iterable[Image], wanted: Recipe, base: Image, project: str
) -> tuple[Baked, Match] | None:
    """The image that has the most of what is wanted; of equals, the newest."""
    found: tuple[Baked, Match] | None = None
    for baked in of_project(images, project):
        fits = match(baked, wanted, base)
        if fits and (found is None or fits > found[1]):
            found = baked, fits
    return found


def choose(images: Iterable[Image], wanted: Recipe, base: Image, project: str) -> tuple[Image, str]:
    """The image that a deploy takes when none is named, and why."""
    images = list(images)
    found = best(images, wanted, base, project)
    if found:
        baked, fits = found
        return baked.image, f"baked of {base.name}: {WORDS[fits]}"
    why = "the newest Debian or Ubuntu image"
    others = of_project(images, project)
    if others:
        why += f"; baked {others[0].image.name!r} does not fit: {misfit(others[0], wanted, base)}"
    return base, why


def misfit(baked: Baked, wanted: Recipe, base: Image) -> str:
    """Why a deploy from here would not use the image at all."""
    if baked.image.status != "active":
        return f"it is {baked.image.status}"
    if baked.recipe.lock != wanted.lock:
        return "its dependencies are others than those of this checkout"
    return f"it was made of another image than {base.name!r}, which is the newest"


def stale(images: Iterable[Image], wanted: Recipe, base: Image, project: str) -> list[Stale]:
    """The baked images that no deploy from here would use."""
    images = list(images)
    found = best(images, wanted, base, project)
    result = []
    for baked in of_project(images, project):
        if found and baked.image.id == found[0].image.id:
            continue
        if baked.image.status in {"queued", "saving", "importing", "uploading"}:
            continue
        if found and match(baked, wanted, base):
            why = f"{found[0].image.name!r} ({found[0].image.id[:8]}) is newer or has more"
        else:
            why = misfit(baked, wanted, base)
        result.append(Stale(baked.image, why))
    return result
