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

EXIT_CODES = """
\b
Exit codes: 0 done; 1 a bug; 2 wrong flags or settings; 3 credentials; 4 the plan cannot be
carried out; 5 the cloud's API failed; 6 the server ended in ERROR; 7 a step on the server
failed; 8 timed out; 9 another deploy of that name is under way; 10 no such deployment;
11 not healthy; 130 stopped by Ctrl-C.
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
def main() -> None:
    """Deploy Stackserve to OpenStack, look at it, take it away."""


for command in (deploy, plan, status, logs, ssh, open_, list_, bake, delete):
    main.add_command(command)
