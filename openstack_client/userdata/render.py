"""Render a context to user data: fill in the role's template, check it and compress it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import traceback
from collections.abc import Callable
from pathlib import Path

import jinja2

from openstack_client.errors import PreflightError
from openstack_client.places import QUICK_START, TEMPLATES
from openstack_client.roles import PROXY, Ask, Role, TlsKind
from openstack_client.roles.read import TEMPLATE, is_ours, source
from openstack_client.userdata.checks import AnyConfig, CloudConfig, check_cloud_config, check_size
from openstack_client.userdata.context import CarriedFile, UserData, UserDataContext
from openstack_client.userdata.payload import carried, code_hash, pack

# Files that templates use from another folder, by the name used in the template.
FROM_ELSEWHERE = {"rabbitmq/quick-start.erl": QUICK_START}
# Where stackserve-deliver puts a certificate with its key.
DELIVERED = "/etc/stackserve/certificate.pem"
TLS_SETTING = {
    TlsKind.SELF: "self",
    TlsKind.ACME: "acme",
    TlsKind.FILES: f"{DELIVERED},{DELIVERED}",
}
# In seconds. After a short --timeout-ready, users run the command again to keep waiting, so the
# VM must not have given up by then.
MIN_READY_TIMEOUT = 600
# What a template of one's own may raise, by what it calls and with what.
TEMPLATE_ERRORS = (jinja2.TemplateError, TypeError, ValueError, LookupError)


def reader(role: Role) -> Callable[[str], str]:
    """Reads a file for the role's template: its own, or else one in cloud-init/files/."""

    def read(name: str) -> str:
        return FROM_ELSEWHERE.get(name, source(role, name)).read_text("utf-8")

    return read


def template_files() -> dict[str, bytes]:
    """All files in cloud-init/ by path: the sources of the user data."""
    paths = sorted(path for path in TEMPLATES.rglob("*") if path.is_file())
    return {
        path.relative_to(TEMPLATES).as_posix(): path.read_bytes()
        for path in paths
        if not any(part.startswith((".", "__pycache__")) for part in path.parts[-2:])
    }


def render(context: UserDataContext) -> UserData:
    """Render a VM's user data. Raises PreflightError if Nova or cloud-init would refuse it."""
    role = context.role
    payload = pack(carried(context)) if role.code else b""
    text = cloud_config(context, payload)
    check_cloud_config(text, CloudConfig if is_ours(role) else AnyConfig)
    data = compress(text.encode("utf-8"))
    check_size(data, parts(context, text))
    return UserData(
        data=data,
        text=text,
        payload=payload,
        code_hash=code_hash(context.code if role.code else role_files(role)),
        digest=digest(text),
    )


def digest(text: str) -> str:
    """A short hash of the cloud-config, independent of the timeout."""
    stable = re.sub(r"^ *READY_TIMEOUT=.*\n", "", text, flags=re.MULTILINE)
    return hashlib.sha256(stable.encode("utf-8")).hexdigest()[:16]


def cloud_config(
    context: UserDataContext, payload: bytes, read: Callable[[str], str] | None = None
) -> str:
    """The cloud-config as text, with the hash of `payload`. `read` reads the files it includes."""
    environment = _environment(context.role, read or reader(context.role))
    try:
        return _filled(environment.get_template(TEMPLATE), context, payload)
    except TEMPLATE_ERRORS as error:
        raise template_problem(context.role, error) from error


def _filled(template: jinja2.Template, context: UserDataContext, payload: bytes) -> str:
    return template.render(
        vm=context,
        steps=declared_steps(context.role),
        step_settings=step_settings(context, payload),
        service_settings=service_settings(context),
    )


def template_problem(role: Role, error: Exception) -> PreflightError:
    """The error for a template that does not render, with its file and line."""
    line = getattr(error, "lineno", None)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename.endswith(TEMPLATE)]
    at = line or (lines[-1] if lines else None)
    where = f"{role.folder / TEMPLATE}" + (f", line {at}" if at else "")
    return PreflightError(
        f"{where}: {error}.", "Correct the template. docs/roles.md lists what it can use."
    )


def role_files(role: Role) -> tuple[CarriedFile, ...]:
    """The files of a role, which are the code of a role that gets none from us."""
    return tuple(
        CarriedFile.model_construct(
            path=path.relative_to(role.folder).as_posix(), content=path.read_bytes()
        )
        for path in sorted(role.folder.rglob("*"))
        if path.is_file() and not _is_hidden(path.relative_to(role.folder))
    )


def steps_in_image(role: Role) -> str:
    """What a baked image of a role without our code holds: its packages, and what steps did."""
    lines = [" ".join(role.packages)]
    for name, step in role.steps.items():
        if step.in_image:
            lines += [name, source(role, step.program).read_text("utf-8")]
    return "\n".join(lines)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.parts)


def parts(context: UserDataContext, text: str) -> dict[str, int]:
    """The compressed size of each part of the user data."""
    texts = {
        "certificates": context.ca_bundle or "",
        "ssh keys": "\n".join(context.ssh_keys),
        "whole cloud-config": text,
    }
    return {name: len(compress(part.encode("utf-8"))) for name, part in texts.items() if part}


def compress(data: bytes) -> bytes:
    """gzip without a timestamp or file name, so that equal input gives equal output."""
    return gzip.compress(data, compresslevel=9, mtime=0)


def service_settings(context: UserDataContext) -> dict[str, str]:
    """The environment of the service's processes, without the broker's password."""
    ours = {
        "STACKSERVE_HOME": "/var/lib/stackserve",
        "STACKSERVE_HOST": "0.0.0.0",
        "STACKSERVE_PORT": str(context.port),
        "STACKSERVE_CODE_HASH": code_hash(context.code),
        # The service cannot write to its code folder, so compiled code goes here.
        "PYTHONPYCACHEPREFIX": "/var/cache/stackserve/bytecode",
        "JAX_COMPILATION_CACHE_DIR": "/var/cache/stackserve/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    if context.role.https:
        ours |= {
            "STACKSERVE_HOST": "127.0.0.1",
            "STACKSERVE_PORT": str(web_port(context)),
            "STACKSERVE_TLS": TLS_SETTING[context.role.certificate or TlsKind.SELF],
            "STACKSERVE_TLS_PORT": str(context.role.https),
            "STACKSERVE_TLS_REDIRECT_PORT": str(context.port),
            "STACKSERVE_TLS_HOME": "/var/lib/proxy-stackserve",
        }
    for name, value in (("DOMAIN", context.domain), ("ACME_SERVER", context.acme_server)):
        ours |= {f"STACKSERVE_TLS_{name}": value} if value else {}
    return dict(sorted((ours | dict(context.settings)).items()))


def web_port(context: UserDataContext) -> int:
    """Where the web tier listens: the port for users, unless a proxy is in front."""
    return context.port + 1 if context.role.https else context.port


def declared_steps(role: Role) -> str:
    """The role's steps for contextualize.py: JSON, one step a line."""
    lines = [
        json.dumps({"stage": name, **step.model_dump(exclude={"in_image"})}, sort_keys=True)
        for name, step in role.in_order
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def step_settings(context: UserDataContext, payload: bytes) -> dict[str, str]:
    """The environment of the setup steps."""
    values: dict[str, object] = {
        "ROLE": context.role.name,
        "NAME": context.name,
        "PAYLOAD_SHA256": hashlib.sha256(payload).hexdigest() if payload else None,
        "PAYLOAD_SIZE": len(payload) or None,
        "PORT": context.port,
        "WEB_PORT": web_port(context),
        "HTTPS_PORT": context.role.https,
        "TLS": context.role.certificate,
        "TLS_UNIT": context.role.units.get(PROXY) if context.role.certificate else None,
        "IMAGE_TAG": context.image_tag,
        "WORKERS": context.workers or "auto",
        "SWAP_MB": "auto" if context.swap_mb is None else context.swap_mb,
        "READY_TIMEOUT": max(MIN_READY_TIMEOUT, context.ready_timeout),
        "EXTRA_PACKAGES": " ".join((*context.extra_packages, *context.role.packages)),
        "OIDC": "yes" if ("STACKSERVE_ACCESS", "oidc") in context.settings else None,
        "SWITCH_OFF": "yes" if context.role.ready.ask is Ask.OFF else None,
        "APT_MIRROR": context.apt_mirror,
        "APT_SECURITY_MIRROR": context.apt_security_mirror,
        "UV_DEFAULT_INDEX": context.pip_index_url,
        "UV_INDEX": " ".join(context.pip_extra_index_urls) or None,
        "http_proxy": context.http_proxy,
        "https_proxy": context.https_proxy,
        "no_proxy": context.no_proxy,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _environment(role: Role, read: Callable[[str], str]) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([role.folder, TEMPLATES]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    environment.globals["file"] = read
    return environment


def quoted(value: str) -> str:
    """Quote a string for YAML. JSON strings are valid YAML."""
    return json.dumps(value)
