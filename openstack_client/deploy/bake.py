"""Bake an image: set up a builder server, clean it, shut it down and take a snapshot.

The builder is a deployment with its own name and role (roles/builder.py). It is always deleted in
the end. No secrets are created on it, and its last step deletes everything specific
to that machine.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Image, Server
from openstack_client.deploy.run import Launch
from openstack_client.errors import (
    CloudError,
    LauncherError,
    ServerError,
    TimedOut,
)
from openstack_client.plan import baked_images, keypair
from openstack_client.plan.baked_images import Recipe
from openstack_client.settings import Settings
from openstack_client.watch import boot
from openstack_client.watch.boot import BootConsole
from openstack_client.watch.delivery import CodeDelivery
from openstack_client.watch.progress import Progress
from openstack_client.watch.wait import fault, refresh_server

POLL = 2.0
# From the end of cleaning until Nova reports the server as SHUTOFF.
STOP_TIMEOUT = 300.0
GONE = {"deleted", "killed", "pending_delete"}
# Nova deletes an image whose upload failed, without reporting the reason to its owner.
UPLOAD_FAILED = (
    "Nova failed to upload the image and deleted it from Glance.",
    "Check the image quota and run the command again. The cloud's operators can find the reason "
    "in Nova's and Glance's logs.",
)


def builder_name() -> str:
    """A unique deployment name, so that bakes in one project do not collide."""
    return f"bake-{secrets.token_hex(3)}"


def builder_settings(settings: Settings) -> Settings:
    """The user's settings without those that do not apply to a builder."""
    floating = "none" if settings.floating_ip == "none" else "auto"
    changed = {
        "name": builder_name(),
        "floating_ip": floating,
        "volume_size": None,
        "workers": None,
        "ttl": None,
        "worker_vms": None,
    }
    return settings.model_copy(update=changed)


def image_name(base: Image, made_of: Recipe) -> str:
    """The default name of an image."""
    parts = ("stackserve", made_of.role, base.name, made_of.code[:8])
    return "-".join(filter(None, parts))


@dataclass
class Result:
    """The result of a bake."""

    image: Image
    seconds: float
    stages: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "event": "result",
            "image": self.image.id,
            "name": self.image.name,
            "size_bytes": self.image.size_bytes,
            "properties": baked_properties(self.image),
            "seconds": round(self.seconds, 1),
            "stages": self.stages,
        }


def baked_properties(image: Image) -> dict[str, str]:
    """The image's properties that describe its contents."""
    return {
        key: str(value)
        for key, value in image.properties.items()
        if key.startswith(baked_images.PREFIX)
    }


class Bake(Launch):
    """One run of bake: a launch that ends with an image instead of a service."""

    def bake(self, name: str) -> Result:
        """Create the image. Always deletes the builder in the end."""
        try:
            image = self._image(name)
        except (LauncherError, KeyboardInterrupt):
            self._clean_up()
            raise
        self._clean_up()
        return Result(image, self.progress.elapsed, self.progress.timeline())

    def _image(self, name: str) -> Image:
        parcel, base = self.plan.front.parcel, self.plan.front.image
        assert parcel and parcel.recipe and base, "a plan without problems has user data"
        server, address = self._active_server()
        self.progress.stage("addressed", "done", address)
        BuilderWatch(self, server, address, parcel.payload).wait(self.settings.timeout_ready)
        self.progress.stage("image", "begin", name)
        properties = baked_images.properties(parcel.recipe, base, server.id)
        image = snapshot(self, server, name, properties)
        self.progress.stage("image", "done", f"{image.size_bytes / 1e6:,.0f} MB")
        return image

    def _clean_up(self) -> None:
        if self.options.keep:
            self._release()
            self.progress.note(
                f"Keeping the builder (--keep). Run `ssh {self.plan.name}` to log in, "
                f"`delete {self.plan.name}` to delete it."
            )
            return
        super()._clean_up()
        keypair.known_hosts(self.folder, self.plan.name).unlink(missing_ok=True)


class BuilderWatch:
    """Waits until the builder is clean and off, reporting the stages from its console."""

    def __init__(self, bake: Bake, server: Server, address: str, payload: bytes) -> None:
        self.cloud: Cloud = bake.cloud
        self.progress: Progress = bake.progress
        self.bake = bake
        self.server = server
        self.stages = bake.plan.front.role.stages
        target = bake.ssh_target(address)
        self.console = BootConsole(
            bake.cloud,
            server,
            address,
            bake.progress,
            target.known_hosts,
            needed=True,
            stages=self.stages,
        )
        self.delivery = CodeDelivery.to(target, "the builder", payload, self.console)
        self.clean_at: float | None = None

    def wait(self, timeout: float) -> None:
        """Wait until the server is off, after it reported that it is clean."""
        try:
            self._follow(timeout)
        finally:
            self.delivery.close()

    def _follow(self, timeout: float) -> None:
        until = time.monotonic() + timeout
        next_console = 0.0
        while True:
            now = time.monotonic()
            if self.clean_at is None and now >= next_console:
                self._read_console()
                next_console = time.monotonic() + boot.CONSOLE_EVERY
            self.delivery.attempt()
            if self._is_off():
                self.progress.stage("stopped", "done")
                return
            if now > (self.clean_at + STOP_TIMEOUT if self.clean_at else until):
                raise self._timed_out(timeout)
            self.bake.lease.renew()
            self.bake.sleep(POLL)

    def _read_console(self) -> None:
        self.console.update()
        self.console.raise_failure("builder", "Run it again with --keep to inspect the builder.")
        if self.console.has_done(self.stages[-1]):
            self.clean_at = time.monotonic()
            self.progress.stage("stopped", "begin")

    def _is_off(self) -> bool:
        now = refresh_server(self.cloud, self.server, self.progress)
        if now.status == "ERROR":
            raise fault(now)
        if now.status == "SHUTOFF" and self.clean_at is None:
            self._read_console()
        if now.status == "SHUTOFF" and self.clean_at is None:
            # Without the marker, its disk may still hold data specific to this machine.
            raise ServerError(
                "The builder went SHUTOFF before it reported that it was clean.",
                "Someone shut it down, or the cloud shows no console log, which bake needs. "
                "Run it again.",
            )
        return now.status == "SHUTOFF"

    def _timed_out(self, timeout: float) -> TimedOut:
        missing = [stage for stage in self.stages if not self.console.has_done(stage)]
        code = f"; its code: {self.delivery.missing}" if self.delivery.missing else ""
        return TimedOut(
            f"The builder is not finished after {timeout:.0f} s. Missing: "
            f"{', '.join(missing) or 'stopping'}{code}."
            f"{self.console.last_line_sentence}",
            self.delivery.remedy
            or "Increase --timeout-ready SECONDS, or inspect the builder with --keep.",
        )


def snapshot(bake: Bake, server: Server, name: str, properties: dict[str, str]) -> Image:
    """Create the image and wait until Glance has it. Deletes it on any failure."""
    cloud = bake.cloud
    created = ""
    try:
        with bake.interrupts.shield():
            created = cloud.create(
                "Nova",
                "create the image",
                lambda: str(cloud.nova.servers.create_image(server.id, name, metadata=properties)),
                lambda: image_of_builder(cloud, server.id),
            )
        return wait_until_available(bake, created)
    except (LauncherError, KeyboardInterrupt):
        if created:
            delete_image(cloud, created)
        raise


def image_of_builder(cloud: Cloud, builder: str) -> str | None:
    """The id of the builder's image, in any state."""
    images = cloud.request(
        "Glance",
        "list the images",
        lambda: [queries.image_of(raw) for raw in cloud.connection.image.images()],
    )
    found = [image.id for image in images if image.properties.get(baked_images.BUILDER) == builder]
    return found[0] if found else None


def wait_until_available(bake: Bake, image_id: str) -> Image:
    """Wait until the image is active."""
    until = time.monotonic() + bake.settings.timeout_build + bake.settings.timeout_ready
    while True:
        image = get_image(bake, image_id)
        if image and image.status == "active":
            return image
        if image and image.status in GONE:
            raise ServerError(*UPLOAD_FAILED)
        if time.monotonic() > until:
            raise TimedOut(
                f"The image is still not active (status {image.status if image else 'unknown'}).",
                "Increase --timeout-ready SECONDS.",
            )
        bake.lease.renew()
        bake.sleep(POLL)


def get_image(bake: Bake, image_id: str) -> Image | None:
    """The image's current state, or None while Glance is failing."""
    cloud = bake.cloud
    try:
        return cloud.request(
            "Glance",
            "show the image",
            lambda: queries.image_of(cloud.connection.image.get_image(image_id)),
        )
    except CloudError as error:
        if error.status == 404:
            raise ServerError(*UPLOAD_FAILED) from error
        if not error.is_temporary:
            raise
        bake.progress.note(f"Still waiting: {error.what}")
        return None


def delete_image(cloud: Cloud, image_id: str) -> None:
    """Delete an image, if it still exists."""
    try:
        cloud.request(
            "Glance",
            f"delete image {image_id}",
            partial(cloud.connection.image.delete_image, image_id, ignore_missing=False),
        )
    except CloudError as error:
        if error.status != 404:
            raise
