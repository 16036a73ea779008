"""The launcher's errors, each with its own exit code.

All modules raise these; only the command line (cli/) turns them into text, JSON and exit codes.
Every error says what happened and, in `remedy`, what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """A problem: the setting or check it is about, what is wrong, and what to do next."""

    subject: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}" + (f" {self.remedy}" if self.remedy else "")

    def as_json(self) -> dict[str, str]:
        return {"subject": self.subject, "what": self.what, "remedy": self.remedy}


class LauncherError(Exception):
    """Base class of all errors reported to the user. The command exits with `exit_code`."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init_subclass__(cls, *, exit_code: int, code: str) -> None:
        super().__init_subclass__()
        cls.exit_code, cls.code = exit_code, code

    def __init__(
        self, what: str, remedy: str = "", *, problems: Sequence[Problem] = (), log: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.problems = list(problems)
        self.log = log

    def __str__(self) -> str:
        lines = [self.what, *(f"  - {problem}" for problem in self.problems)]
        if self.log:
            lines.append(self.log.rstrip())
        if self.remedy:
            lines.append(self.remedy)
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.what,
            "remedy": self.remedy,
            "problems": [problem.as_json() for problem in self.problems],
            "log": self.log.splitlines(),
            "exit_code": self.exit_code,
        }


class SettingsError(LauncherError, ValueError, exit_code=2, code="settings"):
    """A flag, environment variable, line in deployment.toml or given file is not valid."""


class CredentialsError(LauncherError, exit_code=3, code="credentials"):
    """Credentials are incomplete, refused, expired, or for another project."""


class PreflightError(LauncherError, exit_code=4, code="preflight"):
    """The plan has problems: names, quotas, networks, user data. Nothing was created."""


class CloudError(LauncherError, exit_code=5, code="cloud"):
    """The cloud's API failed or refused a request, after retries."""

    def __init__(
        self,
        what: str,
        remedy: str = "",
        *,
        status: int | None = None,
        request_id: str = "",
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(what, remedy, problems=problems)
        self.status = status
        self.request_id = request_id

    @property
    def is_temporary(self) -> bool:
        """Whether the service failed, rather than the request being wrong."""
        return not self.status or self.status >= 500 or self.status == 429

    def as_json(self) -> dict[str, object]:
        return super().as_json() | {"status": self.status, "request_id": self.request_id}


class ServerError(LauncherError, exit_code=6, code="server"):
    """The server went into ERROR, stopped or disappeared."""


class ContextualizationError(LauncherError, exit_code=7, code="contextualization"):
    """A step on the server failed: packages, dependencies, RabbitMQ, the model."""


class TimedOut(LauncherError, TimeoutError, exit_code=8, code="timeout"):
    """Something took longer than its timeout; the message says what was missing."""


class Busy(LauncherError, exit_code=9, code="busy"):
    """Another deploy with the same name is running."""


class NoDeployment(LauncherError, LookupError, exit_code=10, code="no_deployment"):
    """No deployment with that name in the project."""


class Unhealthy(LauncherError, exit_code=11, code="unhealthy"):
    """The deployment exists but does not work."""


class OldCode(LauncherError, exit_code=12, code="old_code"):
    """The deployment works, but its code differs from the code on this machine."""


class ImageError(LauncherError, exit_code=13, code="image"):
    """Docker is missing or does not answer, or it could not build or push an image."""


class NotUpdated(LauncherError, exit_code=14, code="not_updated"):
    """A server refused a new model or new code, or went back to what it ran before."""


class StoreError(LauncherError, exit_code=15, code="store"):
    """An object store has no such version or container, a damaged one, or another of that name."""


class Interrupted(LauncherError, exit_code=130, code="interrupted"):
    """Ctrl-C, SIGTERM, or a question answered with no."""
