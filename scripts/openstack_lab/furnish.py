"""Furnishing the running cloud: projects, sizes, networks and the image, as a user finds them."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from typing import Any

from openstack_lab import layout as places
from openstack_lab.cloud import flavors, images, networks, projects, readiness
from openstack_lab.cloud.connection import as_admin
from openstack_lab.cloud.wiring import wait_for_wiring
from openstack_lab.guest.build import Guest
from openstack_lab.lab import Lab, write_private
from openstack_lab.progress import Progress


def furnish(lab: Lab, guest: Future[Guest] | None, progress: Progress) -> None:
    """Bring everything in; where all of it was brought before, a look must do."""
    admin: Any = as_admin(lab)
    with progress.step("Agents and hosts"):
        readiness.wait_for_agents(admin, lab)
        readiness.wait_for_mapped_hosts(admin, lab)
    if guest is not None and not guest.done():
        progress.say("The guest image is still being built ...")
    built = guest.result() if guest is not None else None
    wanted = fingerprint(lab, built.content if built else "")
    marker = lab.layout.state / "furnished"
    if not (marker.exists() and marker.read_text() == wanted and _looks_furnished(admin)):
        _bring(admin, lab, built, progress)
        write_private(marker, wanted)
    with progress.step("Routes and addresses"):
        wait_for_wiring(admin, lab)


def _bring(admin: Any, lab: Lab, built: Guest | None, progress: Progress) -> None:
    with progress.step("Projects, flavors, networks"):
        ids = projects.make_projects(admin, lab)
        projects.assign_hosts(admin, lab, ids)
        flavors.make_flavors(admin)
        networks.make_external(admin, lab)
        for project_id in ids.values():
            networks.make_private(admin, project_id)
    with progress.step("Image"):
        if built is None:
            images.make_stand_in(admin)
        else:
            images.make_real(admin, built.disk, built.content)


def fingerprint(lab: Lab, image: str) -> str:
    """Of what is wanted, and of the code that brings it."""
    digest = hashlib.sha256(f"{lab.choices.hypervisor} {image}".encode())
    for path in sorted((places.PACKAGE / "cloud").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _looks_furnished(admin: Any) -> bool:
    """Whether nobody took the furniture away since."""
    return bool(
        images.present(admin)
        and {flavor.name for flavor in admin.compute.flavors()} >= set(flavors.FLAVORS)
        and {network.name for network in admin.network.networks()}
        >= {networks.EXTERNAL, networks.PRIVATE}
    )
