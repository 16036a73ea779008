"""Which credentials are used: a cloud of clouds.yaml, an OpenRC's variables, or none.

Decides from values alone, so that the mixing of sources that OpenStack tools do silently
(OS_CLOUD beside OS_PASSWORD) is said aloud, and half-set variables are named one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from openstack_client.errors import CredentialsError, Problem
from openstack_client.names import listed, nearest

CLOUDS_FILES = ("clouds.yaml", "clouds.yml")
# Any of these set means that a person wants a cloud, even when the rest is missing.
TELLTALE = (
    "OS_AUTH_URL",
    "OS_USERNAME",
    "OS_USER_ID",
    "OS_PASSWORD",
    "OS_PROJECT_NAME",
    "OS_PROJECT_ID",
    "OS_TENANT_NAME",
    "OS_TENANT_ID",
    "OS_TOKEN",
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_APPLICATION_CREDENTIAL_NAME",
    "OS_APPLICATION_CREDENTIAL_SECRET",
)
NOT_CREDENTIALS = {"cloud", "client_config_file", "client_secure_file", "cloud_name"}


@dataclass(frozen=True)
class Source:
    """Where the credentials come from. `cloud` is set for clouds.yaml, `values` for variables."""

    kind: str  # "clouds.yaml" | "environment"
    words: str
    cloud: str | None = None
    file: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    ignored: Sequence[str] = ()


def find(
    env: Mapping[str, str], os_cloud: str | None, folder: Path, overrides: Mapping[str, Any]
) -> Source | None:
    """The source that wins, or None when no cloud is meant at all."""
    wanted = os_cloud or env.get("OS_CLOUD")
    telltale = [name for name in TELLTALE if env.get(name)]
    if wanted:
        said = "--os-cloud" if os_cloud else "OS_CLOUD"
        return _named_cloud(wanted, said, env, folder, telltale)
    if telltale:
        _check_complete(env, folder)
        values = {
            name.removeprefix("OS_").lower(): value
            for name, value in env.items()
            if name.startswith("OS_") and value
        }
        values = {key: value for key, value in values.items() if key not in NOT_CREDENTIALS}
        return Source("environment", "the OS_* variables (OpenRC)", values={**values, **overrides})
    file = clouds_file(env, folder)
    names = cloud_names(file) if file else []
    if file and len(names) == 1:
        words = f"cloud {names[0]!r}, the only one of {file}"
        return Source("clouds.yaml", words, cloud=names[0], file=file)
    if len(names) > 1:
        raise CredentialsError(
            f"{file} has several clouds: {listed(names)}.",
            "Choose one with --os-cloud NAME or OS_CLOUD, or serve on this machine with --local.",
        )
    return None


def clouds_file(env: Mapping[str, str], folder: Path) -> Path | None:
    """The clouds.yaml that openstacksdk would read."""
    if env.get("OS_CLIENT_CONFIG_FILE"):
        named = Path(env["OS_CLIENT_CONFIG_FILE"]).expanduser()
        return named if named.is_file() else None
    config = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    for place in (folder, Path(config) / "openstack", Path("/etc/openstack")):
        for name in CLOUDS_FILES:
            if (place / name).is_file():
                return place / name
    return None


def cloud_names(file: Path) -> list[str]:
    """The clouds that a clouds.yaml describes."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CredentialsError(f"{file} cannot be read: {error}.") from error
    clouds = content.get("clouds") if isinstance(content, dict) else None
    return [str(name) for name in clouds] if isinstance(clouds, dict) else []


def _named_cloud(
    wanted: str, said: str, env: Mapping[str, str], folder: Path, telltale: Sequence[str]
) -> Source:
    file = clouds_file(env, folder)
    if file is None:
        named = env.get("OS_CLIENT_CONFIG_FILE")
        where = (
            f"{named} (OS_CLIENT_CONFIG_FILE)" if named else "this folder or ~/.config/openstack"
        )
        raise CredentialsError(
            f"{said} names the cloud {wanted!r}, but there is no clouds.yaml in {where}.",
            "Put clouds.yaml there, or unset OS_CLOUD and source an OpenRC file.",
        )
    names = cloud_names(file)
    if wanted not in names:
        guess = nearest(wanted, names)
        remedy = (f"Did you mean {guess!r}? " if guess else "") + f"There is: {listed(names)}."
        raise CredentialsError(f"{said} names {wanted!r}, which {file} does not have.", remedy)
    words = f"cloud {wanted!r} of {file} (by {said})"
    return Source("clouds.yaml", words, cloud=wanted, file=file, ignored=tuple(telltale))


def missing(env: Mapping[str, str]) -> list[Problem]:
    """The variables that the kind of login needs and that are not set, one by one."""

    def either(*names: str) -> bool:
        return any(env.get(name) for name in names)

    kind = env.get("OS_AUTH_TYPE", "")
    needed: list[tuple[bool, str, str]] = [
        (either("OS_AUTH_URL"), "OS_AUTH_URL", "the address of Keystone, .../v3")
    ]
    by_credential = "applicationcredential" in kind or either(
        "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET"
    )
    if by_credential:
        named = either("OS_APPLICATION_CREDENTIAL_NAME") and either("OS_USERNAME", "OS_USER_ID")
        needed += [
            (
                either("OS_APPLICATION_CREDENTIAL_ID") or named,
                "OS_APPLICATION_CREDENTIAL_ID",
                "the id of the application credential",
            ),
            (
                either("OS_APPLICATION_CREDENTIAL_SECRET"),
                "OS_APPLICATION_CREDENTIAL_SECRET",
                "its secret, shown once when it was made",
            ),
        ]
    elif "token" in kind or (either("OS_TOKEN") and not either("OS_PASSWORD")):
        needed += [(either("OS_TOKEN"), "OS_TOKEN", "the token")]
    elif kind in {"", "password", "v3password"}:
        domain = either("OS_DEFAULT_DOMAIN", "OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN_NAME")
        user_domain = domain or either("OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID")
        project_domain = domain or either("OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID")
        project_id = either("OS_PROJECT_ID", "OS_TENANT_ID")
        needed += [
            (either("OS_USERNAME", "OS_USER_ID"), "OS_USERNAME", "your user name"),
            (either("OS_PASSWORD"), "OS_PASSWORD", "your password"),
            (
                project_id or either("OS_PROJECT_NAME", "OS_TENANT_NAME"),
                "OS_PROJECT_NAME",
                "the project to work in",
            ),
            (either("OS_USER_ID") or user_domain, "OS_USER_DOMAIN_NAME", "usually Default"),
            (project_id or project_domain, "OS_PROJECT_DOMAIN_NAME", "usually Default"),
        ]
    return [
        Problem(name, f"not set: {meaning}.") for present, name, meaning in needed if not present
    ]


def missing_in_cloud(auth: Mapping[str, Any], kind: str) -> list[Problem]:
    """The same for the `auth` of a cloud in clouds.yaml; dashboards give it without a password."""
    as_variables = {f"OS_{key.upper()}": str(value) for key, value in auth.items() if value}
    absent = missing({**as_variables, "OS_AUTH_TYPE": kind})
    return [
        replace(problem, subject=problem.subject.removeprefix("OS_").lower()) for problem in absent
    ]


def openrc_files(folder: Path, env: Mapping[str, str]) -> list[Path]:
    """OpenRC files that a person may have forgotten to source."""
    home = Path(env.get("HOME", "~")).expanduser()
    places = [folder, home, home / "Downloads"]
    found = [path for place in places if place.is_dir() for path in sorted(place.glob("*openrc*"))]
    return [path for path in found if path.is_file()]


def _check_complete(env: Mapping[str, str], folder: Path) -> None:
    absent = missing(env)
    if not absent:
        return
    files = openrc_files(folder, env)
    known = (
        f"Run `source {files[0]}`"
        if files
        else ("Source the OpenRC file of your cloud (dashboard: Project, API Access)")
    )
    raise CredentialsError(
        "The OpenStack credentials are half set.",
        f"{known}, or serve on this machine with --local.",
        problems=absent,
    )
