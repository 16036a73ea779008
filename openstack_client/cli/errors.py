"""Print a command's error as text or JSON, and set the exit code."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console

from openstack_client.deploy.interrupts import Interrupts
from openstack_client.errors import Interrupted, LauncherError

Function = TypeVar("Function", bound=Callable[..., Any])


def report_errors(function: Function) -> Function:
    """Print a command's error and exit with its code.

    SIGTERM stops a command like Ctrl-C. Both also work in a shell's background job.
    """

    @functools.wraps(function)
    def wrapped(*arguments: Any, **flags: Any) -> Any:
        try:
            with Interrupts().installed():
                return function(*arguments, **flags)
        except LauncherError as error:
            fail(error, bool(flags.get("as_json")))
        except KeyboardInterrupt:
            fail(Interrupted("Stopped."), bool(flags.get("as_json")))

    return wrapped  # type: ignore[return-value]


def fail(error: LauncherError, as_json: bool) -> NoReturn:
    """Print the error and exit."""
    if as_json:
        click.echo(json.dumps({"event": "error", **error.as_json()}))
    else:
        sys.stdout.flush()
        Console(stderr=True, soft_wrap=True).print(
            f"\n{error}", style="red", markup=False, highlight=False
        )
    sys.exit(error.exit_code)
