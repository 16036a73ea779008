"""Make the plan of a deployment: render its user data, query the cloud, and decide."""

from __future__ import annotations

import dataclasses
import urllib.parse
from collections.abc import Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

from pydantic import ValidationError

from openstack_client import lifetime, oidc, tls, userdata
from openstack_client.cloud import access_rules, own_address, queries
from openstack_client.cloud.client import Cloud
from openstack_client.cloud.login import Identity
from openstack_client.cloud.resources import Facts, Route
from openstack_client.errors import PreflightError, Problem, SettingsError
from openstack_client.places import IMPORT_FOLDER
from openstack_client.plan import baked_images, inventory, keypair, noted, secured, ssh_from
from openstack_client.plan.decide import decide
from openstack_client.plan.inventory import Inventory
from openstack_client.plan.model import Parcel, Plan
from openstack_client.plan.secured import Secured
from openstack_client.roles import Ask, Role, TlsKind, beside, find, is_ours, ours
from openstack_client.service import HTTP_PORT
from openstack_client.settings import Settings
from openstack_client.tls import Given

WHO = {
    "open": "everybody who reaches the service predicts, and has jobs of their own.",
    "token": "with a token only; create one with `tokens create`.",
    "oidc": "with a token only, of the identity provider or created with `tokens create`.",
}
NO_TLS_FOR_TOKENS = (
    "There is no TLS, so whoever is on the way can read everything, and use the tokens: add "
    "--tls self."
)
NO_TLS = "There is no TLS, so whoever is on the way can read everything."
WITH_TLS = "TLS keeps what is sent from everybody on the way."


def deployed_role(settings: Settings) -> Role:
    """The role that these settings name. Raises SettingsError if it cannot be deployed."""
    role = find(settings.role or "server")
    if role.requires or role.ready.ask is Ask.OFF:
        why = "only `bake` uses it" if role.ready.ask is Ask.OFF else "it needs another server"
        raise SettingsError(
            f"--role {settings.role}: this role cannot be deployed by itself; {why}.",
            "Choose another role.",
        )
    predicts = role.ready.ask is Ask.PREDICTION
    if settings.access == "oidc" and predicts and not _can_check_tokens(role):
        raise SettingsError(
            f"--access oidc: the role {role.name} does not install what that needs.",
            "Use the role server, or add the step dependencies; see docs/roles.md.",
        )
    if settings.image_tag and not role.containers:
        raise SettingsError(
            f"--image-tag: the role {role.name} runs no containers.",
            "Add --role docker, or remove --image-tag.",
        )
    if settings.image_tag and settings.model:
        raise SettingsError(
            "--image-tag and --model cannot be combined: the image has its model.",
            "Remove one of them, or build an image with that model: `image build --model`.",
        )
    wants = secured.asked(settings)
    return with_tls(role, wants) if wants else role


def _can_check_tokens(role: Role) -> bool:
    """Whether it gets the packages for tokens of an identity provider, on it or in its images."""
    return role.containers or "dependencies" in role.steps


def with_tls(role: Role, wants: Secured) -> Role:
    """The role as it is with --tls. Raises SettingsError if it has no TLS of this kind."""
    if role.tls is None or role.tls.more(wants.kind) is None:
        table = "tls" if role.tls is None else f"tls.{wants.kind}"
        raise SettingsError(
            f"{wants.flags}: the role {role.name} has no {'TLS' if role.tls is None else table}.",
            f"Remove --tls, or add [{table}] to its role.toml; see docs/roles.md.",
        )
    return role.with_tls(wants.kind)


def parcel(
    settings: Settings, role: Role | None = None, certified: Secured | None = None
) -> Parcel | list[Problem]:
    """The user data for these settings, or the problems with it."""
    role = role or ours("server")
    try:
        context = userdata.UserDataContext(
            role=role,
            name=settings.name,
            code=userdata.read_code(IMPORT_FOLDER) if role.code else (),
            model=userdata.read_model(settings.model) if settings.model and role.code else None,
            port=role.port or HTTP_PORT,
            domain=(certified and certified.domain) or None,
            acme_server=(certified and certified.acme_server) or None,
            workers=settings.workers,
            image_tag=settings.image_tag,
            settings=_of_service(settings, role),
            ready_timeout=settings.timeout_ready,
            apt_mirror=settings.apt_mirror,
            apt_security_mirror=settings.apt_security_mirror,
            apt_proxy=settings.apt_proxy,
            pip_index_url=settings.pip_index,
            pip_extra_index_urls=tuple(settings.pip_extra_index),
            http_proxy=settings.http_proxy,
            https_proxy=settings.https_proxy,
            no_proxy=settings.no_proxy,
            ca_bundle=settings.ca_bundle.read_text("utf-8") if settings.ca_bundle else None,
        )
        rendered = userdata.render(context)
    except PreflightError as error:
        return [*error.problems, Problem("user data", error.what, error.remedy)]
    except ValidationError as error:
        return [
            Problem("user data", f"{'.'.join(map(str, item['loc']))}: {item['msg']}.")
            for item in error.errors()
        ]
    except (OSError, UnicodeDecodeError) as error:
        return [Problem("user data", f"cannot read a file: {error}.")]
    checked = userdata.cloud_init_schema(rendered.text)
    reported = checked or []
    # An older cloud-init on the server may not know the replacement of a deprecated key.
    deprecated = [problem for problem in reported if "deprecat" in problem.what.lower()]
    if len(deprecated) < len(reported):
        return [problem for problem in reported if problem not in deprecated]
    return Parcel(
        rendered.data,
        rendered.code_hash,
        rendered.digest,
        rendered.payload,
        _recipe(context, rendered),
        (*map(str, deprecated), *_unchecked(role, checked)),
        context.settings if role.ready.ask is Ask.PREDICTION else None,
    )


def _of_service(settings: Settings, role: Role) -> tuple[tuple[str, str], ...]:
    """The service's settings, except for defaults."""
    if role.ready.ask is not Ask.PREDICTION:
        return ()
    preset = None if settings.access == "open" else settings.access
    limit = None if settings.rate_limit is None else f"{settings.rate_limit:.12g}"
    provider = {
        f"STACKSERVE_{name.upper()}": value
        for name, value in settings
        if name.startswith(oidc.PREFIX)
    }
    values = {"STACKSERVE_ACCESS": preset, **provider, "STACKSERVE_RATE_LIMIT": limit}
    return tuple((name, value) for name, value in values.items() if value is not None)


def _unchecked(role: Role, checked: list[Problem] | None) -> tuple[str, ...]:
    """Tests have checked our own templates."""
    if checked is not None or is_ours(role):
        return ()
    return (
        "cloud-init is not installed on this machine, so its schema has not checked the user "
        f"data of role {role.name!r}.",
    )


def _recipe(
    context: userdata.UserDataContext, rendered: userdata.UserData
) -> baked_images.Recipe | None:
    """What a baked image must contain to be used; None for a role that starts from none."""
    role = context.role
    if role.code:
        return baked_images.recipe(
            rendered.payload,
            rendered.code_hash,
            userdata.lock_file(context.code),
            userdata.template_files(),
        )
    if not role.baked_image and role.ready.ask is not Ask.OFF:
        return None
    own = {f"{role.name}/{file.path}": file.content for file in userdata.role_files(role)}
    return baked_images.recipe(
        b"",
        rendered.code_hash,
        userdata.steps_in_image(role),
        userdata.template_files() | own,
        role.name,
    )


def make_plan(
    cloud: Cloud,
    settings: Settings,
    *,
    identity: Identity,
    folder: Path,
    ssh_folder: Path,
    recreate: bool = False,
    role: Role | None = None,
    scaling: bool = False,
    silent: Mapping[str, str] | None = None,
) -> tuple[Plan, Facts]:
    """Query the cloud while rendering and checking the user data, then decide."""
    if scaling:
        settings = settings.model_copy(update={"tls": None, "domain": None, "acme_server": None})
    wants = secured.asked(settings) if role is None else None
    certificate = _certificate(settings) if wants else None
    role = role or deployed_role(settings)
    with ThreadPool(1) as aside:
        rendered = aside.apply_async(parcel, (settings, role, wants))
        facts = queries.gather(cloud)
        carried = rendered.get()
    facts = dataclasses.replace(facts, silent=silent or {})
    if settings.ttl:
        facts = dataclasses.replace(facts, removal=access_rules.why_not(cloud))
    mine = inventory.pick(
        settings.name,
        identity.project_id,
        servers=facts.servers,
        groups=facts.groups,
        ports=facts.ports,
        addresses=facts.addresses,
        keypairs=facts.keypairs,
        server_groups=facts.server_groups or (),
    )
    has = secured.kept(mine.front)
    keeps = wants
    if has and role.tls and not wants and not recreate:
        # It keeps what it was deployed with.
        keeps = has
        role = with_tls(role, has)
        carried = parcel(settings, role, has)
    if scaling and isinstance(carried, Parcel):
        # Nobody asks for other settings of the service.
        carried = dataclasses.replace(carried, service=None)
    facts = dataclasses.replace(facts, route=_route(cloud, settings, facts, mine, role))
    worker_role = beside(role, role.workers.role) if role.workers else None
    has_workers = mine.workers if settings.worker_vms is None else settings.worker_vms
    key = keypair.plan_key(
        settings.key,
        settings.name,
        facts.keypairs,
        project_id=identity.project_id,
        ssh_folder=ssh_folder,
        folder=folder,
    )
    plan = decide(
        settings,
        facts,
        mine,
        identity=identity,
        key=key,
        parcel=carried,
        recreate=recreate,
        role=role,
        scaling=scaling,
        worker_role=worker_role,
        worker_parcel=parcel(settings, worker_role) if worker_role and has_workers else (),
    )
    plan.secured, plan.certificate = keeps, certificate
    check_tls(plan, has, mine, scaling)
    if role.ready.ask is Ask.PREDICTION:
        plan.access = access(noted.preset(plan.front, settings.access), role)
    return plan, facts


def access(preset: str | None, role: Role) -> str:
    """Who may use the service, and who may listen, in words. None: who could before."""
    without = NO_TLS if preset in {None, "open"} or role.tls is None else NO_TLS_FOR_TOKENS
    who = WHO[preset] if preset else "who could before; the server does not say who."
    return f"{who} {WITH_TLS if role.https else without}"


def _certificate(settings: Settings) -> Given | None:
    """The certificate in the files of --tls. Raises SettingsError if it cannot be used."""
    if not settings.tls or tls.kind(settings.tls) is not TlsKind.FILES:
        return None
    return tls.load(*tls.files(settings.tls), lifetime.now())


def check_tls(plan: Plan, has: Secured | None, mine: Inventory, scaling: bool) -> None:
    """Report what is wrong with the certificate, or with where its name leads."""
    wants, front = plan.secured, plan.front
    if wants is None:
        return
    problem = None
    if front.keeps_server:
        problem = secured.conflict(plan.name, has, wants)
    elif wants.kind is TlsKind.FILES and not plan.certificate:
        problem = secured.without_certificate(plan.name)
    plan.problems += [problem] if problem else []
    if wants.domain and not scaling:
        address = front.address.address if front.address else ""
        if not front.floating and mine.front and front.keeps_server:
            address = mine.address_of(mine.front)
        note = secured.name_note(wants.domain, own_address.addresses_of(wants.domain), address)
        plan.warnings += [note] if note else []


def _route(
    cloud: Cloud, settings: Settings, facts: Facts, mine: Inventory, role: Role
) -> Route | None:
    """How this machine reaches the server, or else the cloud's API."""
    floating = role.floating_ip and settings.floating_ip != "none"
    near = ssh_from.target(settings, facts, mine, floating=floating)
    host = near or urllib.parse.urlsplit(cloud.auth_url).hostname
    route = own_address.route_to(host) if host else None
    return dataclasses.replace(route, near=bool(near)) if route else None


def refuse(problems: Sequence[Problem]) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise PreflightError(f"{count} found; nothing was created.", problems=problems)
