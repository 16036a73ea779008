"""Turn the errors of a verb into words, or JSON, and exit codes."""

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


def edge(function: Function) -> Function:
    """Let a verb end with the exit code of its error, told in words or JSON.

    SIGTERM ends a verb as Ctrl-C does, and both work in a background job of a shell.
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
    """Tell the error and end."""
    if as_json:
        click.echo(json.dumps({"event": "error", **error.as_json()}))
    else:
        sys.stdout.flush()
        Console(stderr=True, soft_wrap=True).print(
            f"\n{error}", style="red", markup=False, highlight=False
        )
    sys.exit(error.exit_code)
