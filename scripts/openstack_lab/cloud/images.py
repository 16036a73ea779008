"""The Debian image in Glance. A lab without real guests gets a placeholder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

NAME = "debian-12"
# Property with the fingerprint of the image.
FINGERPRINT = "lab_content"
# 1 MiB of zeros is a valid raw disk.
PLACEHOLDER = b"\0" * 2**20
PROPERTIES = {
    "os_distro": "debian",
    "os_version": "12",
    "os_type": "linux",
    "hw_disk_bus": "virtio",
    "hw_vif_model": "virtio",
    "os_admin_user": "debian",
    "architecture": "x86_64",
}
MIN_DISK, MIN_RAM = 3, 512


def upload_placeholder(admin: Any) -> None:
    """For a lab with the fake hypervisor only. An image that is there already stays."""
    if not _named(admin):
        _upload(admin, "raw", "stand-in", PLACEHOLDER)


def upload_disk(admin: Any, disk: Path, content: str) -> None:
    """Upload the disk unless Glance has it, then delete the images that it replaces."""
    old = _named(admin)
    if not any(image.properties.get(FINGERPRINT) == content for image in old):
        with disk.open("rb") as data:
            _upload(admin, "qcow2", content, data)
    for image in old:
        if image.properties.get(FINGERPRINT) != content:
            admin.image.delete_image(image)


def present(admin: Any) -> bool:
    return bool(_named(admin))


def _named(admin: Any) -> list[Any]:
    found = list(admin.image.images(name=NAME, visibility="public"))
    for image in [image for image in found if image.status != "active"]:
        admin.image.delete_image(image)  # an interrupted upload
    return [image for image in found if image.status == "active"]


def _upload(admin: Any, disk_format: str, content: str, data: Any) -> None:
    image = admin.image.create_image(
        name=NAME,
        disk_format=disk_format,
        container_format="bare",
        visibility="public",
        min_disk=MIN_DISK,
        min_ram=MIN_RAM,
        **PROPERTIES,
        **{FINGERPRINT: content},
    )
    body = io.BytesIO(data) if isinstance(data, bytes) else data
    answer = admin.image.put(
        f"/images/{image.id}/file", data=body, headers={"Content-Type": "application/octet-stream"}
    )
    answer.raise_for_status()
