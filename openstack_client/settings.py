"""All settings of a deployment, and where their values come from.

Flags override the environment (STACKSERVE_DEPLOY_<NAME>), which overrides deployment.toml. The
command line's flags are generated from this model. Nothing else in this package reads the
environment or that file.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from openstack_client import lifetime, oidc
from openstack_client.errors import Problem, SettingsError
from openstack_client.names import nearest
from openstack_client.plain import container_image, jump_host, plain, plain_line
from openstack_client.tls import AcmeServer, HostName, TlsValue, relative_to

PREFIX = "STACKSERVE_DEPLOY_"
FILE_VARIABLE = PREFIX + "SETTINGS"
FILE_NAME = "deployment.toml"
# Nova waits up to 300 s for a port, so a shorter timeout gives up on servers that would build.
MIN_BUILD_TIMEOUT = 360
LISTS = {"allow_from", "ssh_from", "pip_extra_index"}


def _cidrs(values: list[str]) -> list[str]:
    return [str(ipaddress.ip_network(value.strip(), strict=False)) for value in values]


def _floating(value: str) -> str:
    return value if value in {"auto", "none"} else str(ipaddress.ip_address(value))


def _url(value: str) -> str:
    if not re.match(r"https?://[^\s/]+", value):
        raise ValueError("must be a URL that starts with http:// or https://")
    return value


def _file(value: Path) -> Path:
    path = value.expanduser().absolute()
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    return path


def _duration(value: str) -> str:
    lifetime.parse(value)
    return value.strip().lower()


Cidrs = Annotated[list[str], AfterValidator(_cidrs)]
Url = Annotated[str, AfterValidator(_url)]
Urls = list[Url]
Plain = Annotated[str, AfterValidator(plain)]
ExistingPath = Annotated[Path, AfterValidator(_file)]
Line = Annotated[str, AfterValidator(plain_line)]


class Settings(BaseModel):
    """The settings of a deployment. The launcher chooses those that are not given.

    Each one is also a flag of deploy, plan and bake, except for those in cli/bake.py:UNUSED.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    name: Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")] = Field(
        "stackserve", description="Name of the deployment: lowercase letters, digits and hyphens."
    )
    role: str | None = Field(
        None,
        description="What the server is: a folder with a role.toml, or the name of one of ours. "
        "Default: server, the whole service.",
    )
    image: str | None = Field(
        None, description="Image, by name or id. Default: the newest Debian or Ubuntu image."
    )
    flavor: str | None = Field(
        None, description="Flavor, by name or id. Default: the smallest that fits."
    )
    network: str | None = Field(
        None, description="Network of the server. Default: the project's only network."
    )
    external_network: str | None = Field(
        None, description="Network for the floating IP. Default: the one the router connects to."
    )
    floating_ip: Annotated[str, AfterValidator(_floating)] = Field(
        "auto",
        description="auto: create one. none: use the server's own address. Or an unused floating "
        "IP of the project, which delete keeps.",
    )
    key: str | None = Field(
        None,
        description="Keypair in Nova, or path of a public key. Default: a key in ~/.ssh, or else a "
        "new one.",
    )
    security_group: str | None = Field(
        None,
        description="Existing security group, used unchanged. Default: a new one with the rules "
        "needed.",
    )
    volume_size: Annotated[int, Field(ge=8, le=4096)] | None = Field(
        None, description="Boot from a new volume of this size in GB, deleted with the server."
    )
    availability_zone: str | None = Field(None, description="Availability zone of the server.")
    allow_from: Cidrs = Field(
        default_factory=lambda: ["0.0.0.0/0"],
        min_length=1,
        description="Networks (CIDR, comma separated) allowed to connect to the service.",
    )
    ssh_from: Cidrs | None = Field(
        None,
        description="Networks (CIDR) allowed to connect by ssh. Default: this machine, or "
        "--allow-from if its address cannot be known.",
    )
    ssh_via: Annotated[str, AfterValidator(jump_host)] | None = Field(
        None,
        description="Jump host (USER@HOST) by which to reach the server, for ssh and HTTP. Uses "
        "your ssh configuration.",
    )
    access: Literal["open", "token", "oidc"] = Field(
        "open",
        description="Who may use the service. open: everybody predicts, and has jobs of their own. "
        "token: only with a token, which `tokens create` creates. oidc: also with tokens of an "
        "identity provider.",
    )
    oidc_issuer: Annotated[str, AfterValidator(oidc.issuer)] | None = Field(
        None, description="With --access oidc: the identity provider's issuer, an https:// URL."
    )
    oidc_audience: Plain | None = Field(
        None, description="With --access oidc: the audience that its tokens must name."
    )
    oidc_client: Plain | None = Field(
        None,
        description="The ID under which it knows the pages, as a public client. Default: people "
        "cannot sign in with it.",
    )
    oidc_claim: Plain | None = Field(
        None, description="The claim of its tokens that gives the scopes. Default: scope."
    )
    oidc_scopes: Annotated[str, AfterValidator(oidc.scope_map)] | None = Field(
        None,
        description="Which value of the claim gives which scope (VALUE=SCOPE, comma separated). "
        "Default: values that are called like the scopes.",
    )
    tls: TlsValue | None = Field(
        None,
        description="https://. self: the server makes its certificate; the launcher knows it from "
        "the console. acme: a public authority issues it. CERT,KEY: your own, two PEM files. "
        "Default: http://, which can be read on the way.",
    )
    domain: HostName | None = Field(
        None, description="With --tls acme: the server's name, for its certificate."
    )
    acme_server: AcmeServer | None = Field(
        None, description="With --tls acme: the authority's directory. Default: Let's Encrypt."
    )
    rate_limit: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        None,
        description="Most requests per second from one client: a token, or else an address. "
        "Default: no limit.",
    )
    model: ExistingPath | None = Field(
        None,
        description="Model to serve: a version folder of the registry, or its .tar. Default: the "
        "shipped model.",
    )
    image_tag: Annotated[str, AfterValidator(container_image)] | None = Field(
        None,
        description="For a role that runs containers: the image to pull, as `image push` pushed it "
        "with --broker. Default: the server builds its images.",
    )
    ttl: Annotated[str, AfterValidator(_duration)] | None = Field(
        None,
        description="Time to live, such as 90m, 8h or 3d. Then the deployment removes itself. "
        "Default: it stays.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None,
        description="Number of worker processes. Default: half the server's cores, from 1 to 4.",
    )
    worker_vms: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None,
        description="Number of worker VMs beside the server. Default: as many as there are, none "
        "in a new deployment.",
    )
    apt_mirror: Url | None = Field(
        None, description="Debian or Ubuntu package mirror for the server."
    )
    apt_security_mirror: Url | None = Field(
        None, description="Mirror for security updates, if different."
    )
    pip_index: Url | None = Field(None, description="Python package index for the server.")
    pip_extra_index: Urls = Field(
        default_factory=list,
        description="Additional Python package indexes (URLs, comma separated).",
    )
    apt_proxy: Url | None = Field(None, description="Proxy for apt only.")
    http_proxy: Url | None = Field(None, description="HTTP proxy for the server.")
    https_proxy: Url | None = Field(None, description="HTTPS proxy for the server.")
    no_proxy: Line | None = Field(
        None, description="Hosts that the server reaches without the proxy."
    )
    ca_bundle: ExistingPath | None = Field(
        None, description="File with additional CA certificates (PEM) for the server."
    )
    timeout_api: Annotated[int, Field(ge=1, le=600)] = Field(
        60, description="Timeout for one API request, in seconds."
    )
    timeout_build: Annotated[int, Field(ge=1, le=7200)] = Field(
        600, description="Timeout for the server to become ACTIVE, in seconds."
    )
    timeout_ready: Annotated[int, Field(ge=1, le=14400)] = Field(
        1800, description="Timeout from ACTIVE to the first prediction, in seconds."
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        5, description="Retries for a failing API request."
    )
    config_dir: Path | None = Field(
        None, description="Folder for keys and host keys. Default: ~/.config/stackserve."
    )


def environment() -> dict[str, str]:
    """Read the environment. Nothing else in this package does."""
    return dict(os.environ)


def config_folder(settings: Settings, env: Mapping[str, str]) -> Path:
    """The folder for keys. It is created on first use."""
    if settings.config_dir:
        return settings.config_dir.expanduser().absolute()
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "stackserve"


def settings_file(
    flag: Path | None, env: Mapping[str, str], folder: Path, clouds_file: Path | None
) -> Path | None:
    """The deployment.toml to use: the named one, or in this folder, or next to clouds.yaml."""
    named = flag or (Path(env[FILE_VARIABLE]) if env.get(FILE_VARIABLE) else None)
    if named:
        path = named.expanduser()
        if not path.is_file():
            source = "--settings" if flag else FILE_VARIABLE
            raise SettingsError(f"{source} is set to {path}, which is not a file.")
        return path
    candidates = [folder / FILE_NAME]
    if clouds_file:
        candidates.append(clouds_file.parent / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def read_file(path: Path) -> dict[str, Any]:
    """Read a deployment.toml. Relative paths in it are relative to the file."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error
    except OSError as error:
        raise SettingsError(f"Cannot read {path}: {error.strerror}.") from error
    for key in ("model", "ca_bundle", "config_dir"):
        if isinstance(values.get(key), str) and values[key]:
            values[key] = str(path.parent / Path(values[key]).expanduser())
    values |= {"tls": relative_to(path.parent, values["tls"])} if "tls" in values else {}
    role = path.parent / str(values.get("role", ""))
    if values.get("role") and (role / "role.toml").is_file():
        values["role"] = str(role)
    return values


def from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """The values of the STACKSERVE_DEPLOY_<NAME> variables."""
    found: dict[str, Any] = {}
    for variable, value in env.items():
        if variable.startswith(PREFIX) and variable != FILE_VARIABLE and value:
            found[variable.removeprefix(PREFIX).lower()] = value
    return found


def merge(
    flags: Mapping[str, Any], env: Mapping[str, str], file: Path | None
) -> tuple[Settings, dict[str, str]]:
    """The settings, and the origin of each given one. Reports all problems at once."""
    layers = [(str(file), read_file(file))] if file else []
    layers.append(("environment", from_environment(env)))
    layers.append(("flag", {key: value for key, value in flags.items() if value is not None}))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for key, value in layer.items():
            if value == "":
                continue  # an empty value means the default
            values[key] = _as_list(key, value)
            origins[key] = origin
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems = [_problem(detail, values, origins) for detail in error.errors()]
        raise SettingsError("Some settings are not valid.", problems=problems) from error
    problems = [
        Problem(spelled(key, origins.get(key, "")), what, remedy)
        for key, what, remedy in oidc.misfits(settings.access, values)
    ]
    if problems:
        raise SettingsError("Some settings do not fit together.", problems=problems)
    return settings, origins


def spelled(key: str, origin: str) -> str:
    """The setting's name as the user wrote it."""
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
        return Problem(where, "unknown setting.", f"Did you mean {guess}?" if guess else "")
    what = str(detail["msg"]).removeprefix("Value error, ")
    if key == "name":
        what = "use lowercase letters, digits and hyphens, a letter first, at most 40 characters"
    return Problem(where, f"{what}; got {values.get(key)!r}.")
