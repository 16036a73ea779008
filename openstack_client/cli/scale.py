"""scale: change the number of worker VMs of a deployment, or repair them."""

from __future__ import annotations

import json
from typing import Any

import click

from openstack_client.cli.deploy import deploy_to_cloud
from openstack_client.cli.errors import report_errors
from openstack_client.cli.options import change_flags, cloud_flags, name_argument, settings_flags
from openstack_client.cli.session import open_session, require_source
from openstack_client.cli.ssh import find_service_by_ssh
from openstack_client.deploy.own_workers import run_workers
from openstack_client.deploy.run import Options
from openstack_client.errors import SettingsError


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

    With --workers alone, change the number of workers on the server itself. Whatever is removed
    first answers what it holds.
    """
    if flags["workers"] is not None:
        _scale_the_server(flags)
        return
    options = Options(keep=keep, wait=not no_wait, take_over=take_over, drain=not no_drain)
    deploy_to_cloud(flags, require_source(flags), options, yes, scaling=True)


def _scale_the_server(flags: dict[str, Any]) -> None:
    if flags["worker_vms"] is not None:
        raise SettingsError(
            "--workers and --worker-vms cannot be combined.", "Run `scale` once for each."
        )
    session = open_session(flags)
    count = session.settings.workers
    assert count is not None
    run_workers(find_service_by_ssh(session), count)
    if session.as_json:
        click.echo(json.dumps({"name": session.name, "workers": count}))
        return
    many = "worker" if count == 1 else "workers"
    session.say(f"The server of {session.name!r} runs {count} {many}.", "bold")
