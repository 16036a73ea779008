"""Choose image, flavor, networks and zone: the requested one, or a sensible default.

Each function returns a `Choice`: the resource and the reason for it, or the problems found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from openstack_client import roles
from openstack_client.cloud.resources import Facts, Flavor, Image, Network
from openstack_client.errors import Problem
from openstack_client.names import listed, nearest, resolve
from openstack_client.plan import baked_images

GIB = 1024**3
# The systems that the cloud-init templates are written and tested for.
SUPPORTED = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")}
CODENAMES = {
    "bookworm": ("debian", "12"),
    "trixie": ("debian", "13"),
    "jammy": ("ubuntu", "22.04"),
    "noble": ("ubuntu", "24.04"),
}
SERVER = roles.ours("server")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Choice(Generic[Value]):
    """A chosen resource; `value` is None if none fits or none is needed."""

    value: Value | None = None
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
    """The user account that cloud-init creates in this image."""
    distro = system_of(image)[0]
    return image.default_user or (distro if distro in SUPPORTED else "debian")


def image(wanted: str | None, facts: Facts) -> Choice[Image]:
    """The named image, or the newest supported one. baked_images.py chooses baked images."""
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
                f"image {found.name!r} does not look like Debian 12/13 or Ubuntu 22.04/24.04; "
                "the setup on the server may fail.",
            )
        )
        return Choice(found, "as requested", warnings=warnings)
    fitting = [
        entry
        for entry in facts.images
        if entry.status == "active" and is_supported(entry) and not baked_images.is_derived(entry)
    ]
    if not fitting:
        names = listed(entry.name for entry in facts.images)
        return Choice(
            problems=(
                Problem(
                    "image",
                    "no active Debian 12/13 or Ubuntu 22.04/24.04 image found.",
                    f"Upload one, or choose another image with --image. Available: {names}.",
                ),
            )
        )
    newest = max(fitting, key=lambda entry: (entry.created, entry.id))
    return Choice(newest, "the newest Debian or Ubuntu image")


def required_disk_gb(chosen: Image | None, least: int) -> int:
    """The disk size needed for the image and the installed software."""
    if chosen is None:
        return least
    virtual = -(-chosen.virtual_bytes // GIB)
    return max(least, chosen.min_disk_gb, virtual)


def flavor(
    wanted: str | None,
    facts: Facts,
    chosen: Image | None,
    volume_gb: int | None,
    role: roles.Role = SERVER,
) -> Choice[Flavor]:
    """The named flavor, checked against image and role, or the smallest that fits."""
    least = role.flavor
    ram = max(least.ram_mb, chosen.min_ram_mb if chosen else 0)
    disk = 0 if volume_gb else required_disk_gb(chosen, least.disk_gb)
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
                    f"none has {ram} MB of memory and {disk} GB of disk. Available: {sizes}.",
                    "Boot from a volume with --volume-size, or ask the operators for a flavor.",
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
        needed = max(chosen.min_disk_gb, -(-chosen.virtual_bytes // GIB))
        what = (
            f"{found.name!r} has {found.disk_gb} GB of disk; image {chosen.name!r} needs {needed}"
        )
        problems.append(Problem("flavor", f"{what}.", "Use a larger flavor or --volume-size."))
    elif not volume_gb and 0 < found.disk_gb < least.disk_gb:
        warnings.append(
            f"flavor {found.name!r} has {found.disk_gb} GB of disk; {least.disk_gb} GB is "
            "recommended."
        )
    if found.ram_mb < least.ram_mb:
        warnings.append(
            f"flavor {found.name!r} has {found.ram_mb} MB of memory; with less than "
            f"{least.ram_mb} "
            "the server needs a swap file and is slow."
        )
    return Choice(found, "as requested", tuple(problems), tuple(warnings))


def network(wanted: str | None, facts: Facts) -> Choice[Network]:
    """The named network, or the only one the project's servers can use."""
    if wanted is not None:
        found = resolve("network", wanted, facts.networks)
        if isinstance(found, Problem):
            return Choice(problems=(found,))
        if not found.subnets:
            problem = Problem(
                "network", f"{found.name!r} has no subnet, so servers get no address."
            )
            return Choice(found, problems=(problem,))
        return Choice(found, "as requested")
    usable = [entry for entry in facts.networks if not entry.external and entry.subnets]
    mine = [entry for entry in usable if entry.mine] or usable
    if len(mine) == 1:
        return Choice(mine[0], "the only one in the project")
    if not mine:
        return Choice(
            problems=(
                Problem(
                    "network",
                    "the project has no network with a subnet.",
                    "Create one in the dashboard (Network > Networks), and a router for it.",
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
    """The network for the floating IP, and whether a router connects it to the server's network."""
    if floating == "none":
        return Choice(why="no floating IP requested")
    outside = [entry for entry in facts.networks if entry.external]
    if wanted is not None:
        found = resolve("external network", wanted, outside)
        if isinstance(found, Problem):
            return Choice(problems=(found,))
        return Choice(found, "as requested", *_reachable(facts, inner, found))
    routed = _routed_networks(facts, inner)
    connected = [entry for entry in outside if entry.id in routed]
    if len(connected) == 1:
        return Choice(connected[0], "connected by the router")
    if len(outside) == 1:
        return Choice(outside[0], "the only one", *_reachable(facts, inner, outside[0]))
    if outside:
        names = listed(entry.name for entry in connected or outside)
        what, remedy = f"there are several: {names}.", "Choose one with --external-network."
    else:
        what = "the cloud has none, so it has no floating IPs."
        remedy = "If you can reach servers at their own addresses, use --floating-ip none."
    return Choice(problems=(Problem("external network", what, remedy),))


def _routed_networks(facts: Facts, inner: Network | None) -> set[str]:
    """External networks that a router connects to `inner`."""
    subnets = set(inner.subnets) if inner else set()
    return {
        router.external_network
        for router in facts.routers
        if router.external_network and subnets & set(router.subnets)
    }


def _reachable(
    facts: Facts, inner: Network | None, outer: Network
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    if inner is None or outer.id in _routed_networks(facts, inner):
        return (), ()
    if not inner.mine:
        warning = f"network {inner.name!r} is another project's; cannot check its router."
        return (), (warning,)
    ours = [router for router in facts.routers if set(router.subnets) & set(inner.subnets)]
    if ours:
        what = (
            f"router {ours[0].name!r} of network {inner.name!r} is not connected to {outer.name!r}."
        )
        remedy = f"openstack router set --external-gateway {outer.name} {ours[0].name}"
    else:
        what = f"network {inner.name!r} has no router, so a floating IP cannot reach the server."
        remedy = (
            f"openstack router create outside; openstack router set --external-gateway "
            f"{outer.name} outside; openstack router add subnet outside {inner.subnets[0]}"
            if inner.subnets
            else f"Add a subnet and a router to {inner.name!r}."
        )
    return (Problem("network", what, remedy),), ()


def zone(wanted: str | None, facts: Facts) -> Choice[str]:
    """The requested availability zone, or None to let Nova choose."""
    if wanted is None:
        return Choice(why="chosen by Nova")
    if facts.zones is None or wanted in facts.zones:
        return Choice(wanted, "as requested")
    guess = nearest(wanted, facts.zones)
    remedy = (f"Did you mean {guess!r}? " if guess else "") + f"Available: {listed(facts.zones)}."
    return Choice(problems=(Problem("availability zone", f"{wanted!r} not found.", remedy),))
