"""The lab's exceptions. Only cli.py prints them."""

from __future__ import annotations


class LabError(Exception):
    """An error that the user can fix. The remedy says how."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class RefusedError(LabError):
    """The lab cannot run on this machine now. Nothing was changed."""


class BrokenServiceError(LabError):
    """A service of the lab did not start."""


class NotRunningError(LabError):
    """The command needs a running lab."""
