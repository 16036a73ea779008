"""Every setting of the server, from STACKSERVE_* variables: the only reader of the environment."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from production_server.errors import SettingsError
from production_server.places import CHECKOUT


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


# The child processes run in another folder, where a relative path would mean something else.
Folder = Annotated[Path, AfterValidator(_absolute)]


def default_home() -> Path:
    """.stackserve in a checkout; when installed, a folder with the user's other data."""
    if CHECKOUT is not None:
        return CHECKOUT / ".stackserve"
    # The XDG specification ignores a relative path.
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "stackserve"


class Settings(BaseSettings):
    """Settings of one process. Each field is STACKSERVE_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="STACKSERVE_", frozen=True, extra="ignore")

    home: Folder = Field(default_factory=default_home, description="where jobs and models are kept")
    registry: Folder | None = Field(
        None, description="folder of the models; HOME/models when not set"
    )
    broker_url: str = Field("memory://", description="amqp://...; memory:// within one process")
    store_url: str | None = Field(None, description="SQLAlchemy URL of the jobs; SQLite in HOME")
    host: str = Field("127.0.0.1", description="address that the web tier listens on")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(5100, description="port of the web tier")
    web_processes: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="processes of the web tier; half the cores, at most 4, when not set"
    )
    workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None,
        description="worker processes; half the cores, at least 1 and at most 4, when not set",
    )
    deadline: Annotated[float, Field(gt=0, le=300)] = Field(
        10.0, description="seconds until an answer-now request gives up with 503"
    )
    max_rows: Annotated[int, Field(ge=1)] = Field(
        10_000, description="rows of one answer-now request"
    )
    max_job_rows: Annotated[int, Field(ge=1)] = Field(1_000_000, description="rows of one job")
    max_queued_jobs: Annotated[int, Field(ge=1)] = Field(
        100, description="unfinished jobs before new ones get 429"
    )
    # 1,000,000 rows of 8 measurements are about 40 MB of CSV; JSON objects take 4 times that.
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        512 * 1024 * 1024, description="bytes of one request's body"
    )
    chunk_rows: Annotated[int, Field(ge=1, le=100_000)] = Field(
        5_000, description="rows of a job that travel in one message"
    )
    job_retention: Annotated[float, Field(gt=0)] = Field(
        30.0, description="days that a finished job is kept"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="how much the processes tell"
    )
    code_hash: str = Field("development", description="hash of the deployed code, for /alive")

    @cached_property
    def registry_path(self) -> Path:
        return self.registry or self.home / "models"

    @cached_property
    def store(self) -> str:
        return self.store_url or f"sqlite:///{self.home / 'jobs.sqlite3'}"

    @property
    def embedded(self) -> bool:
        """Queue, worker and recorder live in the web process."""
        return self.broker_url.startswith("memory://")

    @cached_property
    def web_process_count(self) -> int:
        return self.web_processes or half_the_cores(os.cpu_count() or 1)

    @cached_property
    def worker_count(self) -> int:
        return self.workers or half_the_cores(os.cpu_count() or 1)

    def environment(self) -> dict[str, str]:
        """This process's environment with these settings, for a child process."""
        own = {
            f"STACKSERVE_{name.upper()}": str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }
        return {**os.environ, **own}

    @cached_property
    def metrics_folder(self) -> Path | None:
        """Where the web processes share their counters; one process needs no sharing."""
        if self.embedded or self.web_process_count == 1:
            return None
        return self.home / "metrics"

    def share_with_children(self) -> None:
        """Make this process's environment the one that its children shall have."""
        os.environ.update(self.environment())
        if self.metrics_folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.metrics_folder)


def bare_environment() -> dict[str, str]:
    """What any program needs of this process's environment, and nothing that could steer it."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}


def half_the_cores(cores: int) -> int:
    """The default number of web processes and of workers, which share the cores.

    On 2 cores a second worker answered 0.9 to 1.1 times the requests and took 120 MB more. More
    than 4 of each gave nothing.
    """
    return max(1, min(4, cores // 2))


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; a keyword that is not None wins."""
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"STACKSERVE_{'_'.join(str(part) for part in first['loc']).upper()}"
        raise SettingsError(
            f"the setting {name} is not valid: {first['input']!r}: {first['msg']}",
            f"Correct it: export {name}=... (see docs/settings.md)",
        ) from error


def set_up_logging(level: str) -> None:
    """One line an event on standard error; the journal adds the time."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    # Every task and every reconnect at INFO is noise beside what the service itself reports.
    for chatty in ("celery.app.trace", "celery.worker.strategy", "jax._src.xla_bridge"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
