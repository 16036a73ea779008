"""Choose the credentials: a cloud in clouds.yaml, the variables of an OpenRC file, or none.

Other OpenStack tools silently mix sources (OS_CLOUD with OS_PASSWORD). Here one source wins,
the ignored variables are reported, and each missing one is named.
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
# If any of these is set, the user expects a cloud, even if others are missing.
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
    """Where the credentials come from. clouds.yaml sets `cloud`; variables set `values`."""

    kind: str  # "clouds.yaml" | "environment"
    description: str
    cloud: str | None = None
    file: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    ignored: Sequence[str] = ()


def find(
    env: Mapping[str, str], os_cloud: str | None, folder: Path, overrides: Mapping[str, Any]
) -> Source | None:
    """The source to use, or None if no cloud is configured."""
    wanted = os_cloud or env.get("OS_CLOUD")
    telltale = [name for name in TELLTALE if env.get(name)]
    if wanted:
        option = "--os-cloud" if os_cloud else "OS_CLOUD"
        return _named_cloud(wanted, option, env, folder, telltale)
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
        description = f"cloud {names[0]!r}, the only one in {file}"
        return Source("clouds.yaml", description, cloud=names[0], file=file)
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
    """The names of the clouds in a clouds.yaml."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CredentialsError(f"Cannot read {file}: {error}.") from error
    clouds = content.get("clouds") if isinstance(content, dict) else None
    return [str(name) for name in clouds] if isinstance(clouds, dict) else []


def _named_cloud(
    wanted: str, option: str, env: Mapping[str, str], folder: Path, telltale: Sequence[str]
) -> Source:
    file = clouds_file(env, folder)
    if file is None:
        named = env.get("OS_CLIENT_CONFIG_FILE")
        where = (
            f"{named} (OS_CLIENT_CONFIG_FILE)" if named else "this folder or ~/.config/openstack"
        )
        raise CredentialsError(
            f"{option} is set to {wanted!r}, but there is no clouds.yaml in {where}.",
            "Put clouds.yaml there, or unset OS_CLOUD and source an OpenRC file.",
        )
    names = cloud_names(file)
    if wanted not in names:
        guess = nearest(wanted, names)
        remedy = (f"Did you mean {guess!r}? " if guess else "") + f"Available: {listed(names)}."
        raise CredentialsError(f"{option} is set to {wanted!r}, which is not in {file}.", remedy)
    description = f"cloud {wanted!r} in {file} (from {option})"
    return Source("clouds.yaml", description, cloud=wanted, file=file, ignored=tuple(telltale))


def missing(env: Mapping[str, str]) -> list[Problem]:
    """A problem for each variable that this type of login needs and that is not set."""

    def has_any(*names: str) -> bool:
        return any(env.get(name) for name in names)

    kind = env.get("OS_AUTH_TYPE", "")
    needed: list[tuple[bool, str, str]] = [
        (has_any("OS_AUTH_URL"), "OS_AUTH_URL", "the URL of Keystone, .../v3")
    ]
    by_credential = "applicationcredential" in kind or has_any(
        "OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_SECRET"
    )
    if by_credential:
        named = has_any("OS_APPLICATION_CREDENTIAL_NAME") and has_any("OS_USERNAME", "OS_USER_ID")
        needed += [
            (
                has_any("OS_APPLICATION_CREDENTIAL_ID") or named,
                "OS_APPLICATION_CREDENTIAL_ID",
                "the id of the application credential",
            ),
            (
                has_any("OS_APPLICATION_CREDENTIAL_SECRET"),
                "OS_APPLICATION_CREDENTIAL_SECRET",
                "its secret, shown once when it was created",
            ),
        ]
    elif "token" in kind or (has_any("OS_TOKEN") and not has_any("OS_PASSWORD")):
        needed += [(has_any("OS_TOKEN"), "OS_TOKEN", "the token")]
    elif kind in {"", "password", "v3password"}:
        domain = has_any("OS_DEFAULT_DOMAIN", "OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN_NAME")
        user_domain = domain or has_any("OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID")
        project_domain = domain or has_any("OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID")
        project_id = has_any("OS_PROJECT_ID", "OS_TENANT_ID")
        needed += [
            (has_any("OS_USERNAME", "OS_USER_ID"), "OS_USERNAME", "your user name"),
            (has_any("OS_PASSWORD"), "OS_PASSWORD", "your password"),
            (
                project_id or has_any("OS_PROJECT_NAME", "OS_TENANT_NAME"),
                "OS_PROJECT_NAME",
                "the project to work in",
            ),
            (has_any("OS_USER_ID") or user_domain, "OS_USER_DOMAIN_NAME", "usually Default"),
            (project_id or project_domain, "OS_PROJECT_DOMAIN_NAME", "usually Default"),
        ]
    return [
        Problem(name, f"not set: {meaning}.") for present, name, meaning in needed if not present
    ]


def missing_in_cloud(auth: Mapping[str, Any], kind: str) -> list[Problem]:
    """The same for `auth` in clouds.yaml. The file from the dashboard has no password."""
    as_variables = {f"OS_{key.upper()}": str(value) for key, value in auth.items() if value}
    absent = missing({**as_variables, "OS_AUTH_TYPE": kind})
    return [
        replace(problem, subject=problem.subject.removeprefix("OS_").lower()) for problem in absent
    ]


def openrc_files(folder: Path, env: Mapping[str, str]) -> list[Path]:
    """OpenRC files that the user may have forgotten to source."""
    home = Path(env.get("HOME", "~")).expanduser()
    places = [folder, home, home / "Downloads"]
    found = [path for place in places if place.is_dir() for path in sorted(place.glob("*openrc*"))]
    return [path for path in found if path.is_file()]


def _check_complete(env: Mapping[str, str], folder: Path) -> None:
    absent = missing(env)
    if not absent:
        return
    files = openrc_files(folder, env)
    advice = (
        f"Run `source {files[0]}`"
        if files
        else "Source your cloud's OpenRC file (dashboard: Project > API Access)"
    )
    raise CredentialsError(
        "The OpenStack credentials are incomplete.",
        f"{advice}, or serve on this machine with --local.",
        problems=absent,
    )
