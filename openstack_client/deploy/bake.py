"""Bake an image: a builder server is prepared, cleaned, switched off and taken as a snapshot.

The builder is an ordinary deployment of its own name, with the user data of the role image;
whatever happens, it is taken away in the end. No secret is made on it, and its last step
removes what makes it this one machine.
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
from openstack_client.watch import boot, stages
from openstack_client.watch.boot import BootConsole, HandOver
from openstack_client.watch.progress import Progress
from openstack_client.watch.wait import fault, look_patiently

POLL = 2.0
# From the end of cleaning until Nova says that the machine is off.
OFF_PATIENCE = 300.0
GONE = {"deleted", "killed", "pending_delete"}
# Nova removes an image that it could not hand over whole, and tells its owner nothing.
GAVE_UP = (
    "Nova gave up taking the image: it is gone from Glance again.",
    "Check the quota of images and run it again; the cloud's operators find the reason in Nova's "
    "and Glance's logs.",
)


def builder_name() -> str:
    """A deployment that nobody else has: bakes of one project do not meet."""
    return f"bake-{secrets.token_hex(3)}"


def builder_settings(settings: Settings) -> Settings:
    """What was given for servers, but for what a builder has no use for."""
    floating = "none" if settings.floating_ip == "none" else "auto"
    changed = {
        "name": builder_name(),
        "floating_ip": floating,
        "volume_size": None,
        "workers": None,
    }
    return settings.model_copy(update=changed)


def image_name(base: Image, made_of: Recipe) -> str:
    """What an image is called when nobody says."""
    return f"stackserve-{base.name}-{made_of.code[:8]}"


@dataclass
class Result:
    """What a bake ended with."""

    image: Image
    seconds: float
    stages: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "event": "result",
            "image": self.image.id,
            "name": self.image.name,
            "size_bytes": self.image.size_bytes,
            "properties": told(self.image),
            "seconds": round(self.seconds, 1),
            "stages": self.stages,
        }


def told(image: Image) -> dict[str, str]:
    """What the image says about itself."""
    return {
        key: str(value)
        for key, value in image.properties.items()
        if key.startswith(baked_images.PREFIX)
    }


class Bake(Launch):
    """One run of bake: a launch that ends with an image instead of a service."""

    made: Image | None = None

    def bake(self, name: str) -> Result:
        """Make the image; the builder goes in the end, whatever that is."""
        try:
            image = self._image(name)
        except (LauncherError, KeyboardInterrupt):
            self._tidy()
            raise
        self._tidy()
        return Result(image, self.progress.elapsed, self.progress.timeline())

    def _image(self, name: str) -> Image:
        parcel, base = self.plan.parcel, self.plan.image
        assert parcel and parcel.recipe and base, "a plan without problems has user data"
        server, address = self._active_server()
        self.progress.stage("addressed", "done", address)
        BuilderWatch(self, server, address, parcel.payload).wait(self.settings.timeout_ready)
        self.progress.stage("image", "begin", name)
        told = baked_images.properties(parcel.recipe, base, server.id)
        image = snapshot(self, server, name, told)
        self.progress.stage("image", "done", f"{image.size_bytes / 1e6:,.0f} MB")
        return image

    def _tidy(self) -> None:
        if self.options.keep:
            self._release()
            self.progress.note(
                f"The builder stays (--keep): `ssh {self.plan.name}` looks at it while it runs, "
                f"`delete {self.plan.name}` takes it away."
            )
            return
        super()._tidy()


class BuilderWatch:
    """Waits until the builder is cleaned and off, telling the stages of its console."""

    def __init__(self, bake: Bake, server: Server, address: str, payload: bytes) -> None:
        self.cloud: Cloud = bake.cloud
        self.progress: Progress = bake.progress
        self.bake = bake
        self.server = server
        self.hand_over = HandOver(address, payload, bake.progress)
        known_hosts = keypair.known_hosts(bake.folder, bake.plan.name)
        self.console = BootConsole(
            bake.cloud,
            server,
            address,
            bake.progress,
            known_hosts if bake.options.keep else None,
            needed=True,
        )
        self.clean_at: float | None = None

    def wait(self, timeout: float) -> None:
        """Until the server is off, after it said that it is clean."""
        until = time.monotonic() + timeout
        next_console = 0.0
        while True:
            now = time.monotonic()
            if self.clean_at is None and now >= next_console:
                self._read_console()
                next_console = time.monotonic() + boot.CONSOLE_EVERY
            if not self.console.has_done("code"):
                self.hand_over.attempt()
            if self._is_off():
                self.progress.stage("stopped", "done")
                return
            if now > (self.clean_at + OFF_PATIENCE if self.clean_at else until):
                raise self._timed_out(timeout)
            self.bake.lease.renew()
            self.bake.sleep(POLL)

    def _read_console(self) -> None:
        self.console.look()
        self.console.raise_failure("builder", "Run it again with --keep to look at the builder.")
        if self.console.has_done(stages.CLEAN):
            self.clean_at = time.monotonic()
            self.progress.stage("stopped", "begin")

    def _is_off(self) -> bool:
        now = look_patiently(self.cloud, self.server, self.progress)
        if now.status == "ERROR":
            raise fault(now)
        if now.status == "SHUTOFF" and self.clean_at is None:
            self._read_console()
        if now.status == "SHUTOFF" and self.clean_at is None:
            # It never says so of itself: what is on its disk may still be a machine's own.
            raise ServerError(
                "The builder went SHUTOFF before it said that it was clean.",
                "Somebody switched it off, or the cloud shows no console log, without which a "
                "bake cannot know. Run it again.",
            )
        return now.status == "SHUTOFF"

    def _timed_out(self, timeout: float) -> TimedOut:
        missing = [
            stage
            for stage in (*stages.INSTALL, *stages.PREPARE)
            if not self.console.has_done(stage)
        ]
        return TimedOut(
            f"After {timeout:.0f} s the builder has not done: {', '.join(missing) or 'stopping'}."
            f"{self.console.last_words}",
            "Give it longer with --timeout-ready SECONDS, or look at it with --keep.",
        )


def snapshot(bake: Bake, server: Server, name: str, told: dict[str, str]) -> Image:
    """Take the image and wait until Glance has it; nothing is left of it on any other end."""
    cloud = bake.cloud
    made = ""
    try:
        with bake.interrupts.shield():
            made = cloud.make(
                "Nova",
                "take the image of the builder",
                lambda: str(cloud.nova.servers.create_image(server.id, name, metadata=told)),
                lambda: image_of_builder(cloud, server.id),
            )
        return until_there(bake, made)
    except (LauncherError, KeyboardInterrupt):
        if made:
            remove(cloud, made)
        raise


def image_of_builder(cloud: Cloud, builder: str) -> str | None:
    """The image of that builder, whatever its state."""
    images = cloud.ask(
        "Glance",
        "list the images",
        lambda: [queries.image_of(raw) for raw in cloud.connection.image.images()],
    )
    found = [image.id for image in images if image.properties.get(baked_images.BUILDER) == builder]
    return found[0] if found else None


def until_there(bake: Bake, image_id: str) -> Image:
    """Wait until the image is active."""
    until = time.monotonic() + bake.settings.timeout_build + bake.settings.timeout_ready
    while True:
        image = look_at(bake, image_id)
        if image and image.status == "active":
            return image
        if image and image.status in GONE:
            raise ServerError(*GAVE_UP)
        if time.monotonic() > until:
            raise TimedOut(
                f"Glance still calls the image {image.status if image else 'unknown'}.",
                "Give it longer with --timeout-ready SECONDS.",
            )
        bake.lease.renew()
        bake.sleep(POLL)


def look_at(bake: Bake, image_id: str) -> Image | None:
    """The image as it is; None while Glance is out of order."""
    cloud = bake.cloud
    try:
        return cloud.ask(
            "Glance",
            "show the image",
            lambda: queries.image_of(cloud.connection.image.get_image(image_id)),
        )
    except CloudError as error:
        if error.status == 404:
            raise ServerError(*GAVE_UP) from error
        if not error.may_pass:
            raise
        bake.progress.note(f"Waiting on: {error.what}")
        return None


def remove(cloud: Cloud, image_id: str) -> None:
    """Delete an image; one that is gone already is no error."""
    try:
        cloud.ask(
            "Glance",
            f"delete image {image_id}",
            partial(cloud.connection.image.delete_image, image_id, ignore_missing=False),
        )
    except CloudError as error:
        if error.status != 404:
            raise
