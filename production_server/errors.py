"""The errors of production_server: one small tree, turned into words only at the edges.

`str(error)` says what was wrong and where; `error.remedy` says what to do next.
"""

from __future__ import annotations


class StackserveError(Exception):
    """Anything that a user, an operator or their data can cause."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class RegistryError(StackserveError):
    """The model registry lacks, refuses or cannot keep a version."""


class ModelError(StackserveError):
    """A model file cannot be read, does not fit its card or is not good enough."""


class DataError(StackserveError):
    """A table of rows cannot be read or does not fit the features."""


class CardError(ModelError, ValueError):
    """A card or features file does not follow its schema."""


class SettingsError(StackserveError, ValueError):
    """A setting has a value that cannot be used."""


class QueueError(StackserveError):
    """The queue gave no answer: the broker is away, or no worker took the task in time."""


class ServiceError(StackserveError):
    """A process or a system package that serving needs is missing or has failed."""


class StoreError(StackserveError):
    """The store of the jobs cannot be opened, read or written."""


class JobError(StackserveError):
    """A job, or an upload that was to become one, is not as it has to be; `code` says which."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code


class UploadMalformed(JobError, ValueError):
    """The body is no CSV or JSON, or it ended too early."""


class UploadTooLarge(JobError):
    """More rows or bytes than one job may have."""


class KeyReused(JobError):
    """An Idempotency-Key was used for another body."""


class QueueFull(JobError):
    """Too many unfinished jobs."""


class RowsRefused(JobError, ValueError):
    """Rows with missing, impossible or unreadable values; `errors` tells the first ones."""

    def __init__(self, count: int, errors: list[dict[str, object]], unit: str) -> None:
        shown = f"; the first {len(errors)} are listed" if count > len(errors) else ""
        super().__init__(
            "invalid_rows",
            f"{count} {'problem' if count == 1 else 'problems'} in the rows{shown}",
            f"Correct what `errors` lists (each with its {unit}) and send the file again; "
            "nothing of it was kept.",
        )
        self.count = count
        self.errors = errors
