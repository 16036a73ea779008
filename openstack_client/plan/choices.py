"""Choose image, flavor, networks and zone: what was asked for, or what is sensible.

Each function takes values and gives a `Choice`: the thing and why it was chosen, or the
problems that stand in the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from openstack_client.cloud.resources import Facts, Flavor, Image, Network
from openstack_client.errors import Problem
from openstack_client.names import listed, nearest, resolve
from openstack_client.plan import baked_images

GIB = 1024**3
# The systems that the cloud-init templates are made and tested for.
SUPPORTED = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")}
CODENAMES = {
    "bookworm": ("debian", "12"),
    "trixie": ("debian", "13"),
    "jammy": ("ubuntu", "22.04"),
    "noble": ("ubuntu", "24.04"),
}
# RabbitMQ, the web tier, a recorder and a worker on jax, and room for apt to work in.
LEAST_RAM_MB = 1800
LEAST_DISK_GB = 7

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Choice(Generic[Thing]):
    """`thing` is None when nothing could be, or need be, chosen."""

    thing: Thing | None = None
    why: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = field(default=())


def system_of(image: Image) -> tuple[str, str]:
    """Distribution and version of an image, from its properties or else its name."""
    version = image.version.lower()
    text = f"{image.distro} {image.name}".lower()
    for codename, known in CODENAMES.items():
        if codename in text or version == codename:
            return known
    distro = next((name for name in SUPPORTED if name in text), image.distro)
    if not version:
        pattern = r"\d\d\.\d\d" if distro == "ubuntu" else r"(?<![\d.])\d{1,2}(?![\d])"
        match = re.search(pattern, image.name)
        version = match.group(0) if match else ""
    if distro == "debian":
        version = version.split(".")[0]
    return distro, version


def is_supported(image: Image) -> bool:
    distro, version = system_of(image)
    return version in SUPPORTED.get(distro, ())


def ssh_user(image: Image) -> str:
    """The account that cloud-init makes in this image."""
    distro = system_of(image)[0]
    return image.default_user or (distro if distro in SUPPORTED else "debian")


def image(wanted: str | None, facts: Facts) -> Choice[Image]:
    """The named image, or the newest of a supported system; baked_images.py chooses baked ones."""
    if wanted is not None:
        found = resolve("image", wanted, facts.images)
        if isinstance(found, Problem):
            return Choice(problems=(found,))
        if found.status != "active":
            problem = Problem("image", f"{found.name!r} is {found.status}, not active.")
            return Choice(problems=(problem,))
        warnings = (
            ()
            if is_supported(found)
            else (
                f"image {found.name!r} is not known to be Debian 12/13 or Ubuntu 22.04/24.04; "
                "the steps on the server may fail.",
            )
        )
        return Choice(found, "as asked", warnings=warnings)
    fitting = [
        entry
        for entry in facts.images
        if entry.status == "active" and is_supported(entry) and not baked_images.claims_to_be(entry)
    ]
    if not fitting:
        names = listed(entry.name for entry in facts.images)
        return Choice(
            problems=(
                Problem(
                    "image",
                    "there is no active Debian 12/13 or Ubuntu 22.04/24.04 image.",
                    f"Upload a cloud image of one, or name one with --image. There is: {names}.",
                ),
            )
        )
    newest = max(fitting, key=lambda entry: (entry.created, entry.id))
    return Choice(newest, "the newest Debian or Ubuntu image")


def least_disk_gb(chosen: Image | None) -> int:
    """Disk that the image and what is installed need."""
    if chosen is None:
        return LEAST_DISK_GB
    virtual = -(-chosen.virtual_bytes // GIB)
    return max(LEAST_DISK_GB, chosen.min_disk_gb, virtual)


def flavor(
    wanted: str | None, facts: Facts, chosen: Image | None, volume_gb: int | None
) -> Choice[Flavor]:
    """The named flavor, checked against the image; or the smallest that fits."""
    ram = max(LEAST_RAM_MB, chosen.min_ram_mb if chosen else 0)
    disk = 0 if volume_gb else least_disk_gb(chosen)
    if wanted is None:
        fitting = [item for item in facts.flavors if item.ram_mb >= ram and item.disk_gb >= disk]
        if fitting:
            best = min(fitting, key=lambda item: (item.ram_mb, item.vcpus, item.disk_gb, item.name))
            return Choice(best, "the smallest that fits")
        sizes = ", ".join(f"{f.name} ({f.ram_mb} MB, {f.disk_gb} GB)" for f in facts.flavors)
        return Choice(
            problems=(
                Problem(
                    "flavor",
                    f"none has {ram} MB of memory and {disk} GB of disk. There is: {sizes}.",
                    "Ask for a larger one, or give --volume-size to boot from a volume.",
                ),
            )
        )
    found = resolve("flavor", wanted, facts.flavors)
    if isinstance(found, Problem):
        return Choice(problems=(found,))
    problems, warnings = [], []
    if chosen and found.ram_mb < chosen.min_ram_mb:
        what = f"{found.name!r} has {found.ram_mb} MB of memory; image {chosen.name!r} needs"
        problems.append(Problem("flavor", f"{what} {chosen.min_ram_mb}."))
    if (
        chosen
        and not volume_gb
        and 0 < found.disk_gb < max(chosen.min_disk_gb, -(-chosen.virtual_bytes // GIB))
    ):
        least = max(chosen.min_disk_gb, -(-chosen.virtual_bytes // GIB))
        what = f"{found.name!r} has {found.disk_gb} GB of disk; image {chosen.name!r} needs {least}"
        problems.append(Problem("flavor", f"{what}.", "Take a larger one, or --volume-size."))
    elif not volume_gb and 0 < found.disk_gb < LEAST_DISK_GB:
        warnings.append(f"flavor {found.name!r} has {found.disk_gb} GB of disk; 7 GB is advised.")
    if found.ram_mb < LEAST_RAM_MB:
        warnings.append(
            f"flavor {found.name!r} has {found.ram_mb} MB of memory; less than {LEAST_RAM_MB} "
            "means a swap file and a slow server."
        )
    return Choice(found, "as asked", tuple(problems), tuple(warnings))


def network(wanted: str | None, facts: Facts) -> Choice[Network]:
    """The named network, or the only one that servers of this project can use."""
    if wanted is not None:
        found = resolve("network", wanted, facts.networks)
        if isinstance(found, Problem):
            return Choice(problems=(found,))
        if not found.subnets:
            problem = Problem(
                "network", f"{found.name!r} has no subnet, so servers get no address."
            )
            return Choice(found, problems=(problem,))
        return Choice(found, "as asked")
    usable = [entry for entry in facts.networks if not entry.external and entry.subnets]
    mine = [entry for entry in usable if entry.mine] or usable
    if len(mine) == 1:
        return Choice(mine[0], "the only one of the project")
    if not mine:
        return Choice(
            problems=(
                Problem(
                    "network",
                    "the project has no network with a subnet.",
                    "Make one in the dashboard (Network, Networks), with a router to the outside.",
                ),
            )
        )
    names = listed(entry.name for entry in mine)
    return Choice(
        problems=(
            Problem(
                "network", f"the project has {len(mine)}: {names}.", "Choose one with --network."
            ),
        )
    )


def external_network(
    wanted: str | None, floating: str, facts: Facts, inner: Network | None
) -> Choice[Network]:
    """Where the floating IP comes from, and whether it can reach the server's network."""
    if floating == "none":
        return Choice(why="no floating IP wanted")
    outside = [entry for entry in facts.networks if entry.external]
    if wanted is not None:
        found = resolve("external network", wanted, outside)
        if isinstance(found, Problem):
            return Choice(problems=(found,))
        return Choice(found, "as asked", *_reachable(facts, inner, found))
    leading = _leading_outside(facts, inner)
    connected = [entry for entry in outside if entry.id in leading]
    if len(connected) == 1:
        return Choice(connected[0], "the router leads to it")
    if len(outside) == 1:
        return Choice(outside[0], "the only one", *_reachable(facts, inner, outside[0]))
    if outside:
        names = listed(entry.name for entry in connected or outside)
        what, remedy = f"there are several: {names}.", "Choose one with --external-network."
    else:
        what = "the cloud has none, so there are no floating IPs."
        remedy = "If servers are reachable by their own address, give --floating-ip none."
    return Choice(problems=(Problem("external network", what, remedy),))


def _leading_outside(facts: Facts, inner: Network | None) -> set[str]:
    """External networks that a router connects with `inner`."""
    subnets = set(inner.subnets) if inner else set()
    return {
        router.external_network
        for router in facts.routers
        if router.external_network and subnets & set(router.subnets)
    }


def _reachable(
    facts: Facts, inner: Network | None, outer: Network
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    if inner is None or outer.id in _leading_outside(facts, inner):
        return (), ()
    if not inner.mine:
        words = f"network {inner.name!r} is another project's; its router cannot be checked."
        return (), (words,)
    ours = [router for router in facts.routers if set(router.subnets) & set(inner.subnets)]
    if ours:
        what = f"router {ours[0].name!r} of network {inner.name!r} does not lead to {outer.name!r}."
        remedy = f"openstack router set --external-gateway {outer.name} {ours[0].name}"
    else:
        what = f"network {inner.name!r} has no router, so a floating IP could not reach the server."
        remedy = (
            f"openstack router create outside; openstack router set --external-gateway "
            f"{outer.name} outside; openstack router add subnet outside {inner.subnets[0]}"
            if inner.subnets
            else f"Give {inner.name!r} a subnet and a router."
        )
    return (Problem("network", what, remedy),), ()


def zone(wanted: str | None, facts: Facts) -> Choice[str]:
    """The availability zone, only if one was asked for."""
    if wanted is None:
        return Choice(why="Nova chooses")
    if facts.zones is None or wanted in facts.zones:
        return Choice(wanted, "as asked")
    guess = nearest(wanted, facts.zones)
    remedy = (f"Did you mean {guess!r}? " if guess else "") + f"There is: {listed(facts.zones)}."
    return Choice(problems=(Problem("availability zone", f"there is no {wanted!r} here.", remedy),))
