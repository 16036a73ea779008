"""scale: change the number of worker VMs of a deployment, or repair them."""

from __future__ import annotations

from typing import Any

import click

from openstack_client.cli.deploy import deploy_to_cloud
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import change_flags, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import require_source
from openstack_client.deploy.run import Options


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@name_argument
@settings_flags()
@cloud_flags
@click.option("--keep", is_flag=True, help="Keep the created resources even if the scale fails.")
@click.option(
    "--no-wait", is_flag=True, help="Exit once new worker VMs run; they join at the next scale."
)
@change_flags
@report_errors
def scale(
    *, keep: bool, no_wait: bool, no_drain: bool, yes: bool, take_over: bool, **flags: Any
) -> None:
    """Change the number of worker VMs; without --worker-vms, replace those that do not work.

    A worker VM that is removed first answers what it holds.
    """
    options = Options(keep=keep, wait=not no_wait, take_over=take_over, drain=not no_drain)
    deploy_to_cloud(flags, require_source(flags), options, yes, scaling=True)
