"""The command line: one verb a file, listed in verbs.py."""

from __future__ import annotations

import click

from openstack_client import __version__
from openstack_client.cli.verbs import Verbs
from openstack_client.errors import LauncherError


def exit_codes() -> str:
    """What each exit code means, in the words of the errors themselves."""
    told = {0: "Done.", LauncherError.exit_code: "A bug."}
    told |= {kind.exit_code: str(kind.__doc__) for kind in LauncherError.__subclasses__()}
    lines = [f"  {code:3}  {meaning}" for code, meaning in sorted(told.items())]
    return "\n".join(["\b", "Exit codes:", *lines])


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exit_codes(),
)
@click.version_option(__version__, prog_name="stackserve", message="%(prog)s %(version)s")
def main() -> None:
    """Deploy Stackserve to OpenStack, inspect it and delete it."""
