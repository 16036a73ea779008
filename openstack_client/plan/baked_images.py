"""Find the project's baked images and choose the one a deploy can use. Pure.

A baked image's properties hold a hash of each part it contains. Nova copies properties to every
later snapshot, including snapshots of servers that hold secrets by then. So an image only counts
as baked if it is a snapshot of the builder server named in its properties.
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
ROLE = f"{PREFIX}role"
# Properties of the base image that later deploys need; Nova copies most of them itself.
KEPT = ("os_distro", "os_version", "os_admin_user", "architecture")


@dataclass(frozen=True)
class Recipe:
    """The contents of an image: a hash of each part."""

    payload: str
    """The packed code and model."""
    code: str
    lock: str
    """The locked dependencies."""
    cloud_init: str
    """The programs and files written by the user data."""
    role: str = ""
    """The role that it is for, unless it holds our code, which serves every role that has it."""


class Match(IntEnum):
    """How much of a deploy an image already contains. Higher is better."""

    DEPENDENCIES = 1
    PAYLOAD = 2
    ALL = 3


REASONS = {
    Match.DEPENDENCIES: "it has the same dependencies; the code is sent separately",
    Match.PAYLOAD: "it has this code and its dependencies",
    Match.ALL: "it has this code and its dependencies",
}


@dataclass(frozen=True)
class Baked:
    """An image created by `bake`."""

    image: Image
    recipe: Recipe
    base: str


@dataclass(frozen=True)
class Stale:
    """A baked image that deploys from this checkout do not use, and why."""

    image: Image
    why: str


def recipe(
    payload: bytes, code: str, lock: str, files: Mapping[str, bytes], role: str = ""
) -> Recipe:
    """The recipe of the local code; `files` maps paths in cloud-init/ to contents."""
    written = hashlib.sha256()
    for name in sorted(files):
        written.update(f"{name}\0{len(files[name])}\0".encode())
        written.update(files[name])
    return Recipe(
        payload=hashlib.sha256(payload).hexdigest(),
        code=code,
        lock=hashlib.sha256(lock.encode()).hexdigest(),
        cloud_init=written.hexdigest(),
        role=role,
    )


def properties(made_of: Recipe, base: Image, builder: str) -> dict[str, str]:
    """The image's properties in Glance."""
    hashes = {
        PAYLOAD: made_of.payload,
        CODE: made_of.code,
        LOCK: made_of.lock,
        CLOUD_INIT: made_of.cloud_init,
        BASE: base.id,
        BUILDER: builder,
    } | ({ROLE: made_of.role} if made_of.role else {})
    system: dict[str, Any] = {
        **base.properties,
        "os_distro": base.distro,
        "os_version": base.version,
        "os_admin_user": base.default_user,
        "architecture": base.architecture,
    }
    return hashes | {name: str(system[name]) for name in KEPT if system.get(name)}


def is_derived(image: Image) -> bool:
    """Whether it is a baked image or a snapshot of a server that was booted from one."""
    return BUILDER in image.properties


def read(image: Image, project: str) -> Baked | None:
    """The image's contents, or None if `bake` did not create it in this project."""
    values = {name: str(value) for name, value in image.properties.items()}
    names = (PAYLOAD, CODE, LOCK, CLOUD_INIT, BASE, BUILDER)
    if any(name not in values for name in names):
        return None
    # In a public cloud, any user can share an image with forged properties.
    if image.owner != project or values.get(SNAPSHOT_OF) != values[BUILDER]:
        return None
    hashes = (values[PAYLOAD], values[CODE], values[LOCK], values[CLOUD_INIT])
    made_of = Recipe(*hashes, role=values.get(ROLE, ""))
    return Baked(image, made_of, values[BASE])


def of_project(images: Iterable[Image], project: str, role: str) -> list[Baked]:
    """The project's baked images for a role, newest first."""
    known = [baked for image in images if (baked := read(image, project))]
    found = [baked for baked in known if baked.recipe.role == role]
    return sorted(found, key=lambda baked: (baked.image.created, baked.image.id), reverse=True)


def match(baked: Baked, wanted: Recipe, base: Image) -> Match | None:
    """How well the image fits, or None if it does not."""
    if baked.image.status != "active" or baked.base != base.id or baked.recipe.lock != wanted.lock:
        return None
    if baked.recipe.payload != wanted.payload:
        return Match.DEPENDENCIES
    return Match.ALL if baked.recipe.cloud_init == wanted.cloud_init else Match.PAYLOAD


def best(
    images: Iterable[Image], wanted: Recipe, base: Image, project: str
) -> tuple[Baked, Match] | None:
    """The best match; the newest of equal ones."""
    found: tuple[Baked, Match] | None = None
    for baked in of_project(images, project, wanted.role):
        fits = match(baked, wanted, base)
        if fits and (found is None or fits > found[1]):
            found = baked, fits
    return found


def choose(images: Iterable[Image], wanted: Recipe, base: Image, project: str) -> tuple[Image, str]:
    """The default image of a deploy, and the reason for it."""
    images = list(images)
    found = best(images, wanted, base, project)
    if found:
        baked, fits = found
        reason = f"for role {wanted.role!r}" if wanted.role else REASONS[fits]
        return baked.image, f"baked from {base.name}: {reason}"
    why = "the newest Debian or Ubuntu image"
    others = of_project(images, project, wanted.role)
    if others:
        why += f"; baked {others[0].image.name!r} does not fit: {misfit(others[0], wanted, base)}"
    return base, why


def misfit(baked: Baked, wanted: Recipe, base: Image) -> str:
    """Why deploys from this checkout do not use the image."""
    if baked.image.status != "active":
        return f"it is {baked.image.status}"
    if baked.recipe.lock != wanted.lock:
        return f"its {'steps' if wanted.role else 'dependencies'} differ from this checkout's"
    return f"its base image is not {base.name!r}, the newest one"


def stale(images: Iterable[Image], wanted: Recipe, base: Image, project: str) -> list[Stale]:
    """The baked images that deploys from this checkout do not use."""
    images = list(images)
    found = best(images, wanted, base, project)
    result = []
    for baked in of_project(images, project, wanted.role):
        if found and baked.image.id == found[0].image.id:
            continue
        if baked.image.status in {"queued", "saving", "importing", "uploading"}:
            continue
        if found and match(baked, wanted, base):
            why = f"{found[0].image.name!r} ({found[0].image.id[:8]}) is newer or more complete"
        else:
            why = misfit(baked, wanted, base)
        result.append(Stale(baked.image, why))
    return result
