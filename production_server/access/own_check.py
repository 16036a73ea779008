"""A deployer's own check of who sends a request: a Python function, named by a setting."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping

from production_server.access.policy import Caller, Scope
from production_server.errors import SettingsError

log = logging.getLogger(__name__)

# It gets the headers, with names in lowercase. It returns who sent them and that person's scopes,
# or None for somebody it does not know. It raises PermissionError for wrong credentials.
OwnCheck = Callable[[Mapping[str, str]], tuple[str, Iterable[str]] | None]

OWNER = "own:"


class Refused(Exception):
    """The credentials are wrong."""


class CheckFailed(Exception):
    """The function failed, so that nobody knows who it is."""


def load(named: str) -> OwnCheck:
    """The function MODULE:FUNCTION. Raises SettingsError."""
    module, _, function = named.partition(":")
    try:
        found: OwnCheck = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"STACKSERVE_ACCESS_CHECK={named} cannot be imported: {error}",
            "Name a function as MODULE:FUNCTION, in a module that this Python can import.",
        ) from error
    if not callable(found):
        raise SettingsError(f"STACKSERVE_ACCESS_CHECK={named} is not a function")
    return found


def caller_of(
    check: OwnCheck, headers: Mapping[str, str], anonymous: frozenset[Scope]
) -> Caller | None:
    """Who sent these headers, as the function says.

    Raises Refused, or CheckFailed: without an answer, nobody gets in.
    """
    try:
        found = check(headers)
        if found is None:
            return None
        name, scopes = found
        return Caller(str(name), frozenset(map(Scope, scopes)) | anonymous, OWNER + str(name))
    except PermissionError as error:
        raise Refused(str(error)) from error
    except Exception as error:
        # Its message may hold the credentials, so only its kind is logged.
        log.error("the access check failed with %s", type(error).__name__)
        raise CheckFailed from error
