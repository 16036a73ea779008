"""The command line: one verb a file; here they are put together."""

from __future__ import annotations

import click

from openstack_client.cli.bake import bake
from openstack_client.cli.delete import delete
from openstack_client.cli.deploy import deploy
from openstack_client.cli.list import list_
from openstack_client.cli.logs import logs
from openstack_client.cli.open import open_
from openstack_client.cli.plan import plan
from openstack_client.cli.ssh import ssh
from openstack_client.cli.status import status
from openstack_client.errors import LauncherError


def exit_codes() -> str:
    """What each exit code means, in the words of the errors themselves."""
    told = {0: "Done.", LauncherError.exit_code: "A bug."}
    told |= {kind.exit_code: str(kind.__doc__) for kind in LauncherError.__subclasses__()}
    lines = [f"  {code:3}  {meaning}" for code, meaning in sorted(told.items())]
    return "\n".join(["\b", "Exit codes:", *lines])


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exit_codes(),
)
def main() -> None:
    """Deploy Stackserve to OpenStack, look at it, take it away."""


for command in (deploy, plan, status, logs, ssh, open_, list_, bake, delete):
    main.add_command(command)
