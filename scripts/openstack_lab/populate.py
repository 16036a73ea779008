"""Creates the projects, flavors, networks and the image that users find in the cloud."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from typing import Any

from openstack_lab.cloud import flavors, images, networks, projects, readiness
from openstack_lab.cloud.connection import as_admin
from openstack_lab.cloud.connectivity import wait_for_connectivity
from openstack_lab.guest.build import Guest
from openstack_lab.lab import Lab, write_private
from openstack_lab.layout import PACKAGE
from openstack_lab.progress import Progress


def populate(lab: Lab, guest: Future[Guest] | None, progress: Progress) -> None:
    """Create everything. If an earlier `up` did so, only check the most important parts."""
    admin: Any = as_admin(lab)
    with progress.step("Agents and hosts"):
        readiness.wait_for_agents(admin, lab)
        readiness.wait_for_mapped_hosts(admin, lab)
    if guest is not None and not guest.done():
        progress.say("Waiting for the guest image ...")
    built = guest.result() if guest is not None else None
    wanted = fingerprint(lab, built.content if built else "")
    marker = lab.layout.state / "populated"
    if not (marker.exists() and marker.read_text() == wanted and _looks_populated(admin)):
        _create(admin, lab, built, progress)
        write_private(marker, wanted)
    with progress.step("Network connectivity"):
        wait_for_connectivity(admin, lab)


def _create(admin: Any, lab: Lab, built: Guest | None, progress: Progress) -> None:
    with progress.step("Projects, flavors, networks"):
        ids = projects.create_projects(admin, lab)
        projects.assign_hosts(admin, lab, ids)
        flavors.create_flavors(admin)
        networks.create_external(admin, lab)
        for project_id in ids.values():
            networks.create_private(admin, project_id)
    with progress.step("Image"):
        if built is None:
            images.upload_placeholder(admin)
        else:
            images.upload_disk(admin, built.disk, built.content)


def fingerprint(lab: Lab, image: str) -> str:
    """A fingerprint of what to create and of the code that does it."""
    digest = hashlib.sha256(f"{lab.choices.hypervisor} {image}".encode())
    for path in sorted((PACKAGE / "cloud").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _looks_populated(admin: Any) -> bool:
    """Whether no administrator has removed things since."""
    return bool(
        images.present(admin)
        and {flavor.name for flavor in admin.compute.flavors()} >= set(flavors.FLAVORS)
        and {network.name for network in admin.network.networks()}
        >= {networks.EXTERNAL, networks.PRIVATE}
    )
