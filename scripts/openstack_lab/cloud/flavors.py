"""Flavors: the smallest that boots, and two with enough memory for the service."""

from __future__ import annotations

from typing import Any

# Name -> vCPUs, memory in MiB, disk in GiB.
FLAVORS = {
    "tiny": (1, 768, 4),
    "service.small": (2, 3072, 8),
    "service.large": (4, 6144, 16),
}


def create_flavors(admin: Any) -> None:
    known = {flavor.name for flavor in admin.compute.flavors()}
    for name, (cores, memory, disk) in FLAVORS.items():
        if name not in known:
            admin.compute.create_flavor(name=name, vcpus=cores, ram=memory, disk=disk)
