"""image: build the images for containers with the user's Docker, and push them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import click

from openstack_client import settings
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import settings_flags
from openstack_client.containers import build as building
from openstack_client.containers import context, tags
from openstack_client.containers import push as pushing
from openstack_client.containers.docker import Docker
from openstack_client.containers.settings import login, models_folder
from openstack_client.places import IMPORT_FOLDER
from openstack_client.userdata import read_code

Function = TypeVar("Function", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def image() -> None:
    """Build and push images of the service, for containers.

    This needs Docker with BuildKit, and no cloud.
    """


def _json_flag(function: Function) -> Function:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


@image.command()
@click.argument("tag")
@click.option(
    "--model",
    "word",
    metavar="VERSION|PATH",
    help="Model to serve: a version of the registry, or its folder or .tar. Default: the shipped "
    "model.",
)
@click.option("--base", metavar="IMAGE", help="Debian with Python 3.11 to 3.13 to build from.")
@click.option("--broker", is_flag=True, help="Build the image of RabbitMQ too, as NAME-broker.")
@click.option(
    "--postgres", is_flag=True, help="Build the image of PostgreSQL too, as NAME-postgres."
)
@click.option(
    "--extra",
    "extras",
    type=click.Choice(["oidc", "postgres"]),
    multiple=True,
    help="Add what tokens of an identity provider need, or the driver of PostgreSQL. Repeatable.",
)
@click.option(
    "--sbom",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the list of what is in the image (CycloneDX) in this file.",
)
@click.option("--no-cache", is_flag=True, help="Build all anew, with the newest system packages.")
@settings_flags(["pip_index", "ca_bundle"])
@click.option(
    "--settings", "path", type=click.Path(path_type=Path), help="Path of deployment.toml."
)
@_json_flag
@report_errors
def build(
    *,
    tag: str,
    word: str | None,
    base: str | None,
    broker: bool,
    postgres: bool,
    extras: tuple[str, ...],
    sbom: Path | None,
    no_cache: bool,
    path: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Build the image TAG, which serves one model and nothing else.

    With --broker, NAME:TAG comes with NAME-broker:TAG, as docker-compose.yml expects them, and
    with --postgres with NAME-postgres:TAG, for which it needs --extra postgres itself.
    """
    tags.check(tag)
    env = settings.environment()
    chosen, _ = settings.merge(flags, env, settings.settings_file(path, env, Path.cwd(), None))
    named = word or (str(chosen.model) if chosen.model else None)
    code = read_code(IMPORT_FOLDER)
    content = context.gather(code, context.choose(named, models_folder(env), code))
    docker = Docker(env)
    docker.check_buildkit()
    recipe = building.Recipe(base, chosen.pip_index, chosen.ca_bundle, not no_cache, extras)
    also = [*[building.BROKER] * broker, *[building.POSTGRES] * postgres]
    names = building.build(docker, recipe, content, tag, also)
    if sbom:
        building.copy_sbom(docker, tag, sbom)
    built = [_described(docker, name) for name in names]
    if as_json:
        click.echo(json.dumps({"event": "result", "images": built}))
        return
    for one in built:
        click.echo(f"{one['tag']}: {one['size_bytes'] / 1e6:,.0f} MB, {one['id']}")
    click.echo(f"It serves {content.model}, with code {content.code}.")


def _described(docker: Docker, tag: str) -> dict[str, Any]:
    found = docker.inspect(tag)
    labels = found["Config"]["Labels"]
    return {"tag": tag, "id": found["Id"], "size_bytes": found["Size"], "labels": labels}


@image.command()
@click.argument("tag")
@click.option("--broker", is_flag=True, help="Push the image of RabbitMQ too.")
@click.option("--postgres", is_flag=True, help="Push the image of PostgreSQL too.")
@_json_flag
@report_errors
def push(*, tag: str, broker: bool, postgres: bool, as_json: bool) -> None:
    """Push the image TAG to the registry in its name, and print its digest.

    The account comes from STACKSERVE_REGISTRY_USERNAME and STACKSERVE_REGISTRY_PASSWORD, which are
    stored nowhere; without them, from `docker login`.
    """
    tags.check(tag)
    env = settings.environment()
    account = login(env)
    docker = Docker(env)
    docker.version()
    also = [*[building.BROKER] * broker, *[building.POSTGRES] * postgres]
    names = [tag, *(tags.beside(tag, target) for target in also)]
    with (
        pushing.logged_in(docker, tags.registry(tag), account)
        if account
        else nullcontext(docker) as ready
    ):
        digests = {name: pushing.push(ready, name) for name in names}
    pushed = [
        {"tag": name, "digest": digest, "reference": f"{tags.repository(name)}@{digest}"}
        for name, digest in digests.items()
    ]
    if as_json:
        click.echo(json.dumps({"event": "result", "images": pushed}))
        return
    for one in pushed:
        click.echo(one["reference"])
