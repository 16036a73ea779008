"""What can go wrong in the launcher: one small tree, each kind with its exit code.

The modules raise these; only the command line (cli/) turns them into words, JSON and
exit codes. Every error says what happened and, in `remedy`, what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that stands in the way: which setting or check, what, and what to do next."""

    subject: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}" + (f" {self.remedy}" if self.remedy else "")

    def as_json(self) -> dict[str, str]:
        return {"subject": self.subject, "what": self.what, "remedy": self.remedy}


class LauncherError(Exception):
    """Anything the launcher tells a person about; `exit_code` is what the command ends with."""

    exit_code = 1
    code = "failed"

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


class SettingsError(LauncherError, ValueError):
    """A flag, an environment variable or a line of deployment.toml cannot be used."""

    exit_code = 2
    code = "settings"


class CredentialsError(LauncherError):
    """Credentials are half set, refused, expired, or for another project."""

    exit_code = 3
    code = "credentials"


class PreflightError(LauncherError):
    """The plan cannot be carried out: names, quota, networks, user data. Nothing was made."""

    exit_code = 4
    code = "preflight"


class CloudError(LauncherError):
    """The cloud's API failed or refused, after the retries that make sense."""

    exit_code = 5
    code = "cloud"

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
    def may_pass(self) -> bool:
        """Whether it was the service that was out of order, and not the request."""
        return not self.status or self.status >= 500 or self.status == 429

    def as_json(self) -> dict[str, object]:
        return super().as_json() | {"status": self.status, "request_id": self.request_id}


class ServerError(LauncherError):
    """Nova made the server and it ended in ERROR, or it vanished or stopped."""

    exit_code = 6
    code = "server"


class ContextualizationError(LauncherError):
    """A step on the server failed: packages, dependencies, RabbitMQ, the model."""

    exit_code = 7
    code = "contextualization"


class TimedOut(LauncherError, TimeoutError):
    """Something took longer than its timeout; the message says what was still missing."""

    exit_code = 8
    code = "timeout"


class Busy(LauncherError):
    """Another deploy of the same name is under way."""

    exit_code = 9
    code = "busy"


class NoDeployment(LauncherError, LookupError):
    """There is no deployment of that name in the project."""

    exit_code = 10
    code = "no_deployment"


class Unhealthy(LauncherError):
    """The deployment is there but does not answer as it should."""

    exit_code = 11
    code = "unhealthy"


class Interrupted(LauncherError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130
    code = "interrupted"
