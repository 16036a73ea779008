"""The command line. Each command has its own file; verbs.py lists them."""

from __future__ import annotations

import click

from openstack_client import __version__
from openstack_client.cli.verbs import Verbs
from openstack_client.errors import LauncherError


def exit_codes() -> str:
    """What each exit code means, from the docstrings of the errors."""
    meanings = {0: "Done.", LauncherError.exit_code: "A bug."}
    meanings |= {kind.exit_code: str(kind.__doc__) for kind in LauncherError.__subclasses__()}
    lines = [f"  {code:3}  {meaning}" for code, meaning in sorted(meanings.items())]
    return "\n".join(["\b", "Exit codes:", *lines])


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exit_codes(),
)
@click.version_option(__version__, prog_name="stackserve", message="%(prog)s %(version)s")
def main() -> None:
    """Deploy Stackserve to OpenStack, inspect it and delete it."""
