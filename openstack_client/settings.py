"""Every setting of a deployment, typed, in one place; and where its value comes from.

A flag wins over the environment (STACKSERVE_DEPLOY_<NAME>), which wins over
deployment.toml. The flags of the command line are made from this model, and nothing else
in this package reads the environment or that file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from openstack_client.errors import Problem, SettingsError
from openstack_client.names import nearest
from openstack_client.service import HTTP_PORT

PREFIX = "STACKSERVE_DEPLOY_"
FILE_VARIABLE = PREFIX + "SETTINGS"
FILE_NAME = "deployment.toml"
# Nova waits 300 s for a port, so a shorter patience gives up on servers that would come.
LEAST_BUILD_TIMEOUT = 360
LISTS = {"allow_from", "ssh_from", "pip_extra_index"}


def _cidrs(values: list[str]) -> list[str]:
    return [str(ipaddress.ip_network(value.strip(), strict=False)) for value in values]


def _floating(value: str) -> str:
    return value if value in {"auto", "none"} else str(ipaddress.ip_address(value))


def _url(value: str) -> str:
    if not re.match(r"https?://[^\s/]+", value):
        raise ValueError("must be a URL that begins with http:// or https://")
    return value


def _file(value: Path) -> Path:
    path = value.expanduser().absolute()
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return path


def _plain_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("must be one line")
    return value


Cidrs = Annotated[list[str], AfterValidator(_cidrs)]
Url = Annotated[str, AfterValidator(_url)]
Urls = list[Url]
ExistingPath = Annotated[Path, AfterValidator(_file)]
Line = Annotated[str, AfterValidator(_plain_line)]


class Settings(BaseModel):
    """What a deployment is to be. Whatever is left out is chosen by the launcher."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")] = Field(
        "stackserve", description="Name of the deployment: small letters, digits, hyphens."
    )
    image: str | None = Field(
        None, description="Image, by name or id. Else the newest Debian or Ubuntu cloud image."
    )
    flavor: str | None = Field(
        None, description="Flavor, by name or id. Else the smallest one that fits."
    )
    network: str | None = Field(
        None, description="Network of the server. Else the only one of the project."
    )
    external_network: str | None = Field(
        None, description="Network of floating IPs. Else the one that the router leads to."
    )
    floating_ip: Annotated[str, AfterValidator(_floating)] = Field(
        "auto",
        description="auto: make one; none: the server's own address is reachable; "
        "or a free floating IP of the project to use (and keep).",
    )
    key: str | None = Field(
        None,
        description="Keypair in Nova, or path of a public key. Else one made from ~/.ssh/*.pub, "
        "else a new one.",
    )
    security_group: str | None = Field(
        None, description="Security group to use as it is. Else one is made with least openings."
    )
    volume_size: Annotated[int, Field(ge=8, le=4096)] | None = Field(
        None, description="Boot from a new volume of so many GB, gone with the server."
    )
    availability_zone: str | None = Field(None, description="Availability zone of the server.")
    allow_from: Cidrs = Field(
        default_factory=lambda: ["0.0.0.0/0"],
        min_length=1,
        description=f"Networks (CIDR, comma separated) that may open port {HTTP_PORT}.",
    )
    ssh_from: Cidrs | None = Field(
        None, description="Networks (CIDR) that may open ssh. Else those of --allow-from."
    )
    model: ExistingPath | None = Field(
        None,
        description="Model to serve: a registry version's folder or its .tar. Else the "
        "shipped one.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None,
        description="Worker processes. Default: the server decides: half its cores, "
        "at least 1 and at most 4.",
    )
    apt_mirror: Url | None = Field(None, description="Package mirror that the server uses.")
    apt_security_mirror: Url | None = Field(
        None, description="Mirror of the security updates, if it is another one."
    )
    pip_index: Url | None = Field(None, description="Python package index that the server uses.")
    pip_extra_index: Urls = Field(
        default_factory=list, description="More Python package indexes (URLs, comma separated)."
    )
    apt_proxy: Url | None = Field(None, description="Proxy for packages alone.")
    http_proxy: Url | None = Field(None, description="HTTP proxy that the server uses.")
    https_proxy: Url | None = Field(None, description="HTTPS proxy that the server uses.")
    no_proxy: Line | None = Field(None, description="What the server reaches without the proxy.")
    ca_bundle: ExistingPath | None = Field(
        None, description="File of certificate authorities (PEM) that the server trusts."
    )
    timeout_api: Annotated[int, Field(ge=1, le=600)] = Field(
        60, description="Seconds to wait for one answer of the cloud's API."
    )
    timeout_build: Annotated[int, Field(ge=1, le=7200)] = Field(
        600, description="Seconds from the request until the server is ACTIVE."
    )
    timeout_ready: Annotated[int, Field(ge=1, le=14400)] = Field(
        1800, description="Seconds from ACTIVE until a prediction comes back."
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        5, description="Times to try again when the API is out of order."
    )
    config_dir: Path | None = Field(
        None, description="Where keys and host keys are kept. Else ~/.config/stackserve."
    )


def environment() -> dict[str, str]:
    """The one place that reads the environment."""
    return dict(os.environ)


def config_folder(settings: Settings, env: Mapping[str, str]) -> Path:
    """Keys live here; the folder itself is made when something is put into it."""
    if settings.config_dir:
        return settings.config_dir.expanduser().absolute()
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "stackserve"


def settings_file(
    flag: Path | None, env: Mapping[str, str], folder: Path, clouds_file: Path | None
) -> Path | None:
    """The deployment.toml that counts: named, in this folder, or beside clouds.yaml."""
    named = flag or (Path(env[FILE_VARIABLE]) if env.get(FILE_VARIABLE) else None)
    if named:
        path = named.expanduser()
        if not path.is_file():
            source = "--settings" if flag else FILE_VARIABLE
            raise SettingsError(f"{source} names {path}, which is not a file.")
        return path
    candidates = [folder / FILE_NAME]
    if clouds_file:
        candidates.append(clouds_file.parent / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def read_file(path: Path) -> dict[str, Any]:
    """The values of a deployment.toml; relative paths in it are relative to it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from error
    for key in ("model", "ca_bundle", "config_dir"):
        if isinstance(values.get(key), str) and values[key]:
            values[key] = str(path.parent / Path(values[key]).expanduser())
    return values


def from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """The values given as STACKSERVE_DEPLOY_<NAME>."""
    found: dict[str, Any] = {}
    for variable, value in env.items():
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE and value:
            found[variable.removeprefix(PREFIX).lower()] = value
    return found


def merge(
    flags: Mapping[str, Any], env: Mapping[str, str], file: Path | None
) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each that was given, where it came from. All problems at once."""
    layers = [(str(file), read_file(file))] if file else []
    layers.append(("environment", from_environment(env)))
    layers.append(("flag", {key: value for key, value in flags.items() if value is not None}))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for key, value in layer.items():
            if value == "":
                continue  # so that a file can list what it leaves to the launcher
            values[key] = _as_list(key, value)
            origins[key] = origin
    try:
        return Settings.model_validate(values), origins
    except ValidationError as error:
        problems = [_problem(detail, values, origins) for detail in error.errors()]
        raise SettingsError("Some settings cannot be used.", problems=problems) from error


def spelled(key: str, origin: str) -> str:
    """The setting as the person wrote it."""
    if origin == "environment":
        return PREFIX + key.upper()
    return f"{key} in {origin}" if origin not in {"flag", ""} else "--" + key.replace("_", "-")


def _as_list(key: str, value: object) -> object:
    if key in LISTS and isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value) if part]
    return value


def _problem(detail: Any, values: Mapping[str, Any], origins: Mapping[str, str]) -> Problem:
    key = str(detail["loc"][0])
    where = spelled(key, origins.get(key, ""))
    if detail["type"] == "extra_forbidden":
        guess = nearest(key, Settings.model_fields)
        if guess and origins.get(key) == "environment":
            guess = spelled(guess, "environment")
        return Problem(
            where, "there is no such setting.", f"Did you mean {guess}?" if guess else ""
        )
    what = str(detail["msg"]).removeprefix("Value error, ")
    if key == "name":
        what = "use small letters, digits and hyphens, a letter first, at most 40"
    return Problem(where, f"{what}; it is {values.get(key)!r}.")
