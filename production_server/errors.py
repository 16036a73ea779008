"""The exceptions of production_server.

`str(error)` says what went wrong and where, and `error.remedy` what to do next. The command line
prints both, and the web tier returns both.
"""

from __future__ import annotations


class StackserveError(Exception):
    """Base of all errors that a user, an operator or their data can cause."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class RegistryError(StackserveError):
    """The model registry does not have a version, or cannot accept, read or change one."""


class ModelError(StackserveError):
    """A model cannot be read, does not match its card or is not good enough."""


class GateError(ModelError):
    """A new version is refused before it can go live. `code` identifies the cause."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code


class DataError(StackserveError):
    """Rows cannot be read or do not match the features of the model."""


class CardError(ModelError, ValueError):
    """A card or a features file does not match its schema."""


class SettingsError(StackserveError, ValueError):
    """A setting has an invalid value."""


class QueueError(StackserveError):
    """A prediction failed: RabbitMQ is unreachable, no worker answered in time, or one failed."""


class QueueBlocked(QueueError):
    """RabbitMQ accepts no messages, because its server is low on memory or disk."""


class ServiceError(StackserveError):
    """A process or system package that the service needs is missing or has failed."""


class UpdateError(StackserveError):
    """A server cannot change its code. It runs what it ran before, unless the message says more."""


class StoreError(StackserveError):
    """The database of jobs cannot be opened, read or written."""


class BackupError(StackserveError):
    """A backup cannot be made, or an archive cannot be restored."""


class AccessError(StackserveError):
    """A token cannot be created, read or revoked."""


class JobError(StackserveError):
    """A job, or the upload for one, was refused. `code` identifies the cause."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code


class UploadMalformed(JobError, ValueError):
    """The body is not valid CSV or JSON, or it is incomplete."""


class UploadTooLarge(JobError):
    """The upload has more rows or bytes than a job may have."""


class KeyReused(JobError):
    """The Idempotency-Key was used before, with another body."""


class QueueFull(JobError):
    """There are too many unfinished jobs."""


class StoreFull(JobError):
    """The disk or the limit on bytes has no room for another job."""


class RowsRefused(JobError, ValueError):
    """Rows have missing, impossible or unreadable values. `errors` lists the first ones."""

    def __init__(self, count: int, errors: list[dict[str, object]], unit: str) -> None:
        shown = f"; the first {len(errors)} are listed" if count > len(errors) else ""
        super().__init__(
            "invalid_rows",
            f"{count} {'problem' if count == 1 else 'problems'} in the rows{shown}",
            f"Correct the rows in `errors`, which gives the {unit} of each, and send the file "
            "again. Nothing was stored.",
        )
        self.count = count
        self.errors = errors


class PushError(StackserveError):
    """What was pushed is not taken."""
