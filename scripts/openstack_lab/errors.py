"""What can go wrong with the lab, in one small tree; only cli.py turns these into words."""

from __future__ import annotations


class LabError(Exception):
    """Something the person at the keyboard can act on; the remedy says how."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


class RefusedError(LabError):
    """This machine cannot hold a lab now; nothing was changed."""


class BrokenServiceError(LabError):
    """A part of the lab did not come up."""


class NotRunningError(LabError):
    """The verb needs a running lab."""
