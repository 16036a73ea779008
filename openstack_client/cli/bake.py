"""bake: create an image that servers boot from much faster; delete stale images."""

from __future__ import annotations

import json
from typing import Any

import click

from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import cloud_flags, settings_flags
from openstack_client.cli.session import Session, open_session
from openstack_client.cli.tables import table_of
from openstack_client.cloud import queries
from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Facts, Image
from openstack_client.deploy import bake as baking
from openstack_client.deploy.interrupts import Interrupts
from openstack_client.deploy.run import Options
from openstack_client.errors import PreflightError
from openstack_client.plan import baked_images, choices, make
from openstack_client.plan.baked_images import Match, Recipe, Stale
from openstack_client.plan.model import Parcel
from openstack_client.roles import builder
from openstack_client.settings import Settings
from openstack_client.watch import stages
from openstack_client.watch.tunnel import check_jump_host

# Settings that do not apply to a builder.
UNUSED = {
    "name",
    "access",
    "tls",
    "domain",
    "acme_server",
    "image_tag",
    "rate_limit",
    "oidc_issuer",
    "oidc_audience",
    "oidc_client",
    "oidc_claim",
    "oidc_scopes",
    "volume_size",
    "workers",
    "worker_vms",
    "security_group",
    "ttl",
}
COLUMNS = ["name", "id", "created", "size_mb", "why"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("image_name", metavar="[NAME]", required=False)
@settings_flags(name for name in Settings.model_fields if name not in UNUSED)
@cloud_flags
@click.option("--again", is_flag=True, help="Bake even if an image of this code exists.")
@click.option("--keep", is_flag=True, help="Keep the builder server for debugging.")
@click.option("--prune", is_flag=True, help="Bake nothing; delete unused baked images.")
@click.option("--yes", "-y", is_flag=True, help="With --prune: skip the confirmation.")
@report_errors
def bake(
    *, image_name: str | None, again: bool, keep: bool, prune: bool, yes: bool, **flags: Any
) -> None:
    """Create an image, called NAME, that later deploys use automatically.

    Boots a builder server from the image that deploy would choose, installs RabbitMQ, Python,
    the dependencies and the code, deletes everything specific to that server, and takes a
    snapshot. A server from this image downloads nothing, or with --access oidc 5 MB, and creates
    its own keys and passwords.

    With --role, it runs the steps of that role that are marked in_image instead.
    """
    session = open_session(flags)
    interrupts = Interrupts()
    with interrupts.installed():
        identity = session.login()
        if prune:
            _prune(session, identity, yes)
        else:
            _bake(session, identity, image_name, interrupts, again, Options(keep=keep))


def _bake(
    session: Session,
    identity: Identity,
    name: str | None,
    interrupts: Interrupts,
    again: bool,
    options: Options,
) -> None:
    settings = baking.builder_settings(session.settings)
    role = builder(make.deployed_role(settings))
    plan, facts = session.plan(identity, settings=settings, role=role)
    image, parcel = plan.front.image, plan.front.parcel
    recipe = parcel.recipe if parcel else None
    if recipe and image and not again:
        found = baked_images.best(facts.images, recipe, image, identity.project_id)
        if found and found[1] is Match.ALL:
            _show_existing(session, found[0].image)
            return
    session.begin(identity, plan)
    check_jump_host(session.settings.ssh_via)
    assert image and recipe, "a plan without problems has an image and user data"
    name = name or baking.image_name(image, recipe)
    with session.showing(interrupts, f"Baking {name!r}", stages.bake(role)) as progress:
        result = baking.Bake(
            cloud=session.cloud,
            settings=settings,
            plan=plan,
            folder=session.folder,
            progress=progress,
            interrupts=interrupts,
            options=options,
        ).bake(name)
    if session.as_json:
        click.echo(json.dumps(result.as_json()))
    else:
        session.say(f"\nImage {name!r} is ready after {result.seconds:.0f} s.", "bold")
        session.say(f"  {result.image.id}, {result.image.size_bytes / 1e6:,.0f} MB")
        until = "the steps in it" if recipe.role else "the dependencies"
        session.say(f"  Deploys use it automatically until {until} change.")


def _show_existing(session: Session, image: Image) -> None:
    if session.as_json:
        session.answer(
            {
                "event": "result",
                "image": image.id,
                "name": image.name,
                "found": True,
                "size_bytes": image.size_bytes,
                "properties": baking.baked_properties(image),
            }
        )
    else:
        session.say(
            f"Image {image.name!r} ({image.id}) already has this code. Use --again to bake another."
        )


def _prune(session: Session, identity: Identity, yes: bool) -> None:
    facts = queries.gather(session.cloud)
    stale = _stale(session.settings, facts, identity.project_id)
    rows = [
        {
            "name": entry.image.name,
            "id": entry.image.id,
            "created": entry.image.created,
            "size_mb": round(entry.image.size_bytes / 1e6),
            "why": entry.why,
        }
        for entry in stale
    ]
    if not rows:
        session.answer({"deleted": []}) if session.as_json else session.say(
            "No stale baked images."
        )
        return
    if not session.as_json:
        session.say("Stale images:")
        session.console.print(table_of(rows, COLUMNS))
    session.confirm("Delete them?", yes)
    for entry in stale:
        baking.delete_image(session.cloud, entry.image.id)
    if session.as_json:
        session.answer({"deleted": rows})
    else:
        session.say(f"Deleted: {len(stale)}.")


def _stale(settings: Settings, facts: Facts, project: str) -> list[Stale]:
    base = choices.image(settings.image, facts)
    parcel = make.parcel(settings, builder(make.deployed_role(settings)))
    problems = list(base.problems) + ([] if isinstance(parcel, Parcel) else parcel)
    recipe: Recipe | None = parcel.recipe if isinstance(parcel, Parcel) else None
    if base.value is None or recipe is None:
        raise PreflightError("Cannot determine which images are stale.", problems=problems)
    return baked_images.stale(facts.images, recipe, base.value, project)
