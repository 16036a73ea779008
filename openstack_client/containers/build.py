"""Build the images of the service, of RabbitMQ and of PostgreSQL."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from openstack_client.containers import tags
from openstack_client.containers.context import DOCKERFILE, Context, pack
from openstack_client.containers.docker import Docker
from openstack_client.errors import ImageError

# Docker reads the index's URL, which may have a password, from this variable of its own.
INDEX = "STACKSERVE_BUILD_INDEX"
SBOM = "/opt/stackserve/sbom.cdx.json"
BROKER, POSTGRES = "broker", "postgres"
# Targets of the Dockerfile, and what is in their images.
TARGETS = {BROKER: "RabbitMQ", POSTGRES: "PostgreSQL"}


@dataclass(frozen=True)
class Recipe:
    """How to build: all that the user chooses besides the model."""

    base: str | None = None
    pip_index: str | None = None
    ca_bundle: Path | None = None
    cache: bool = True
    extras: tuple[str, ...] = ()
    """More packages of the service: the names of their locks."""

    def command(self, tag: str, context: Context, target: str = "") -> list[str]:
        """The arguments of `docker`. Secrets are none of them."""
        labels = context.labels_of(TARGETS[target]) if target else context.labels
        command = ["build", f"--file={DOCKERFILE}", f"--tag={tag}"]
        command += [f"--target={target}"] if target else [f"--build-arg=CODE_HASH={context.code}"]
        command += [f"--build-arg=BASE={self.base}"] if self.base else []
        if self.extras and not target:
            command.append(f"--build-arg=EXTRAS={' '.join(self.extras)}")
        command += [f"--label={name}={value}" for name, value in labels.items()]
        if self.ca_bundle:
            command.append("--secret=" + _fields("id=authorities", f"src={self.ca_bundle}"))
        if self.pip_index:
            command.append("--secret=" + _fields("id=index", f"env={INDEX}"))
        return [*command, *([] if self.cache else ["--no-cache"]), "-"]

    @property
    def environment(self) -> Mapping[str, str]:
        return {"DOCKER_BUILDKIT": "1"} | ({INDEX: self.pip_index} if self.pip_index else {})


def build(
    docker: Docker, recipe: Recipe, context: Context, tag: str, also: Sequence[str] = ()
) -> list[str]:
    """Build the service's image and those of other targets; return their names.

    A failed build leaves the names as they were.
    """
    archive = pack(context.files)
    targets = {tags.beside(tag, target): target for target in also}
    for name, target in {**targets, tag: ""}.items():
        code = docker.show(recipe.command(name, context, target), archive, recipe.environment)
        if code:
            raise ImageError(
                f"docker build of {name} failed with exit code {code}; see its messages above.",
                "If the base is missing, choose another with --base; if packages are, see "
                "--pip-index and --ca-bundle.",
            )
    return [tag, *targets]


def copy_sbom(docker: Docker, tag: str, file: Path) -> None:
    """Write the list of what is in the image."""
    container = docker.ask("create", tag).strip()
    try:
        docker.ask("cp", f"{container}:{SBOM}", str(file))
    finally:
        docker.ask("rm", container)


def _fields(*fields: str) -> str:
    """One line of CSV, which is how Docker reads this; a path may have commas."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
