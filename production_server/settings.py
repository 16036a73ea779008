"""The server's settings, read from STACKSERVE_* environment variables.

No other module reads the environment.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from production_server.access.policy import Preset
from production_server.errors import SettingsError
from production_server.places import CHECKOUT, updated_code


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


# Values of `tls`: the server makes the certificate itself, or asks a public authority.
OWN_CERTIFICATE = "self"
ACME = "acme"
HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
# Containers get secrets as files: stackserve_broker_url, and so on.
SECRETS = Path("/run/secrets")
# Child processes run in another folder, where a relative path would point elsewhere.
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


def default_home() -> Path:
    """.stackserve in a checkout; otherwise a folder in the user's data directory."""
    if CHECKOUT is not None:
        return CHECKOUT / ".stackserve"
    # The XDG specification requires absolute paths.
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "stackserve"


def _host_names(names: str) -> str:
    """The same names in the form that clients send them."""
    return ",".join(_host_name(name.strip()) for name in names.split(",") if name.strip())


def _host_name(name: str) -> str:
    with suppress(ValueError):
        return f"[{IPv6Address(name.strip('[]'))}]"
    try:
        # With a dot in front, it stands for a domain and all names in it.
        encoded = name.removeprefix(".").encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(f"{name!r} is not a host name") from error
    if not HOST_NAME.fullmatch(encoded):
        raise ValueError(f"{name!r} is not a host name or an address; leave out http:// and port")
    return f".{encoded}" if name.startswith(".") else encoded


def _tls(value: str) -> str:
    certificate, comma, key = value.partition(",")
    if value not in {OWN_CERTIFICATE, ACME} and not (certificate and comma and key):
        raise ValueError("must be 'self', 'acme', or two files: CERTIFICATE,KEY")
    return value


class Settings(BaseSettings):
    """The settings of one process. `max_rows` is read from STACKSERVE_MAX_ROWS, and so on."""

    model_config = SettingsConfigDict(env_prefix="STACKSERVE_", frozen=True, extra="ignore")

    home: AbsolutePath = Field(
        default_factory=default_home, description="Folder for jobs and models."
    )
    registry: AbsolutePath | None = Field(
        None, description="Folder of the models. Default: `models` in `home`."
    )
    broker_url: str = Field(
        "memory://",
        description="Broker: amqp://..., amqps://..., or memory:// for a single process.",
    )
    broker_ca: AbsolutePath | None = Field(
        None,
        description="File of the certificate authorities to trust for amqps://. Default: those "
        "of the system.",
    )
    broker_name: str | None = Field(
        None, description="The name in the broker's certificate. Default: the host of its URL."
    )
    worker_vm: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = Field(
        None,
        description="The name under which the broker's server knows this worker VM, which may "
        "then declare no queues.",
    )
    store_url: str | None = Field(
        None, description="SQLAlchemy URL of the jobs' database. Default: SQLite in `home`."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(5100, description="Port to listen on.")
    trusted_hosts: Annotated[str, AfterValidator(_host_names)] | None = Field(
        None,
        description="Host names and addresses that requests may use, separated by commas; "
        "`.example.org` stands for the domain and all names in it. Default: "
        "any, or only this machine's if `host` is a loopback address.",
    )
    access: Preset = Field(
        Preset.OPEN,
        description="Who may use the service: `open`, everybody predicts and has jobs of their "
        "own; `token`, only with a token; `oidc`, also with tokens of an identity provider. See "
        "docs/access.md.",
    )
    rate_limit: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Most requests per second from one client: a token, a person of an identity "
        "provider, or else an address. More get 429. Default: no limit.",
    )
    access_check: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = Field(
        None,
        description="A Python function of your own, MODULE:FUNCTION, that says who sent a request. "
        "See docs/access.md.",
    )
    oidc_issuer: str | None = Field(
        None, description="The identity provider: its issuer, an https:// address."
    )
    oidc_audience: str | None = Field(
        None, description="The audience that tokens of the identity provider must name."
    )
    oidc_client: str | None = Field(
        None,
        description="The ID under which the identity provider knows the pages, as a public client. "
        "Default: people cannot sign in with it.",
    )
    oidc_claim: str = Field("scope", description="The claim of these tokens that gives the scopes.")
    oidc_scopes: str | None = Field(
        None,
        description="Which value of the claim gives which scope: VALUE=SCOPE, separated by commas. "
        "Default: values that are called like the scopes.",
    )
    tls: Annotated[str, AfterValidator(_tls)] | None = Field(
        None,
        description="TLS by a proxy: `self`, with a certificate of its own; `acme`, with one of a "
        "public authority for `tls_domain`; or CERTIFICATE,KEY, two PEM files. `port` is then "
        "where the proxy finds the web tier. See docs/tls.md.",
    )
    tls_host: str = Field("0.0.0.0", description="Address that the proxy listens on.")
    tls_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        443, description="Port of the proxy, for https://."
    )
    tls_redirect_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port where the proxy leads http:// to https://. Default: none."
    )
    tls_names: str | None = Field(
        None,
        description="More names and addresses for the certificate of its own, separated by commas.",
    )
    tls_domain: Annotated[str, AfterValidator(_host_name)] | None = Field(
        None, description="The name of this server, for `acme`."
    )
    tls_acme_server: Annotated[str, Field(pattern=r'^https://[^\s"\\$`]+$')] = Field(
        "https://acme-v02.api.letsencrypt.org/directory",
        description="The authority's directory, for `acme`. The default is Let's Encrypt.",
    )
    tls_acme_ca: AbsolutePath | None = Field(
        None,
        description="File of the certificate authorities that the ACME server's own certificate "
        "is of. Default: those of the system.",
    )
    tls_challenge_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        80, description="Port where the authority checks the domain, for `acme`."
    )
    tls_home: AbsolutePath | None = Field(
        None, description="Folder of the proxy, with its key. Default: `tls` in `home`."
    )
    web_processes: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Number of web processes. Default: half the cores, at most 4."
    )
    workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Number of worker processes. Default: half the cores, at most 4."
    )
    deadline: Annotated[float, Field(gt=0, le=300)] = Field(
        10.0,
        description="Timeout of a prediction request, in seconds. It then fails with 503.",
    )
    max_rows: Annotated[int, Field(ge=1)] = Field(
        10_000, description="Most rows in one prediction request."
    )
    max_job_rows: Annotated[int, Field(ge=1)] = Field(
        1_000_000, description="Most rows in one job."
    )
    max_queued_jobs: Annotated[int, Field(ge=1)] = Field(
        100, description="Most unfinished jobs. New ones then fail with 429."
    )
    # 1,000,000 rows of 8 features are about 40 MB as CSV, and four times that as JSON objects.
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        512 * 1024 * 1024, description="Largest request body, in bytes."
    )
    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5_000, description="Rows of a job in one message."
    )
    job_retention: Annotated[float, Field(gt=0)] = Field(
        30.0, description="How long finished jobs are kept, in days."
    )
    store_bytes: Annotated[int, Field(ge=1 << 20)] | None = Field(
        None,
        description="Most bytes of jobs. The oldest finished jobs make room. Default: half of the "
        "disk with SQLite, no limit with PostgreSQL.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Log level."
    )
    request_log: Literal["on", "errors", "off"] = Field(
        "errors",
        description="Which requests are logged: all, those that failed on this side or were "
        "refused (401, 403, 429), or none.",
    )
    alive_file: AbsolutePath | None = Field(
        None,
        description="A file that a worker or the recorder changes every 10 s while it works, for "
        "health checks of containers.",
    )
    serve_shipped: bool = Field(
        False,
        description="Serve the model that came with the code, also if another one was active, once "
        "a worker has loaded it: in a container, the model is part of the image.",
    )
    code_hash: Annotated[str, AfterValidator(lambda given: updated_code() or given)] = Field(
        "development",
        validate_default=True,
        description="Hash of the deployed code, reported by /alive.",
    )

    @cached_property
    def registry_path(self) -> Path:
        return self.registry or self.home / "models"

    @cached_property
    def tls_folder(self) -> Path:
        return self.tls_home or self.home / "tls"

    @property
    def tls_files(self) -> tuple[Path, Path] | None:
        """The operator's certificate and its key, if TLS uses them."""
        if self.tls in (None, OWN_CERTIFICATE, ACME):
            return None
        certificate, _, key = str(self.tls).partition(",")
        return _absolute(Path(certificate)), _absolute(Path(key))

    @cached_property
    def access_folder(self) -> Path:
        return self.home / "access"

    @cached_property
    def store(self) -> str:
        return self.store_url or f"sqlite:///{self.home / 'jobs.sqlite3'}"

    @property
    def store_exists(self) -> bool:
        """False if the default database has not been created yet."""
        return self.store_url is not None or (self.home / "jobs.sqlite3").exists()

    @property
    def embedded(self) -> bool:
        """Whether queue, worker and recorder run in the web process."""
        return self.broker_url.startswith("memory://")

    @property
    def on_worker_vm(self) -> bool:
        """Whether another server has declared all queues, and an account here may not."""
        return self.worker_vm is not None

    @cached_property
    def web_process_count(self) -> int:
        return self.web_processes or half_the_cores(os.cpu_count() or 1)

    @cached_property
    def worker_count(self) -> int:
        return self.workers or half_the_cores(os.cpu_count() or 1)

    def environment(self) -> dict[str, str]:
        """The environment of a child process: this process's own, with these settings."""
        own = {
            f"STACKSERVE_{name.upper()}": str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }
        return {**os.environ, **own}

    @cached_property
    def metrics_folder(self) -> Path | None:
        """Where several web processes share their metrics; None for a single process."""
        if self.embedded or self.web_process_count == 1:
            return None
        return self.home / "metrics"

    def share_with_children(self) -> None:
        """Set this process's environment variables, which its children inherit."""
        os.environ.update(self.environment())
        if self.metrics_folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.metrics_folder)


def bare_environment() -> dict[str, str]:
    """The variables that every program needs, without any that could change its behavior."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}


def notify_socket() -> str | None:
    """Where systemd listens for the status of this process; None without systemd."""
    return os.environ.get("NOTIFY_SOCKET")


def half_the_cores(cores: int) -> int:
    """The default number of web processes, and of workers. The two share the cores.

    On 2 cores, a second worker handled 0.9 to 1.1 times the requests and took 120 MB more. More
    than 4 of each were no faster.
    """
    return max(1, min(4, cores // 2))


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment. Keywords that are not None override it."""
    given = {name: value for name, value in overrides.items() if value is not None}
    if SECRETS.is_dir():
        given["_secrets_dir"] = SECRETS
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"STACKSERVE_{'_'.join(str(part) for part in first['loc']).upper()}"
        raise SettingsError(
            f"{name} is set to an invalid value, {first['input']!r}: {first['msg']}",
            f"Correct it: export {name}=... (see docs/settings.md)",
        ) from error


def set_up_logging(level: str) -> None:
    """Log to standard error, one line per event. The journal adds the time."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    # These log every task and every reconnect at INFO.
    for chatty in ("celery.app.trace", "celery.worker.strategy", "jax._src.xla_bridge"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
