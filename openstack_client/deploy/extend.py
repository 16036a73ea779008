"""Change when a deployment expires: the metadata of its servers, and nothing else."""

from __future__ import annotations

import datetime as dt
from functools import partial

from openstack_client import lifetime
from openstack_client.cloud.client import Cloud
from openstack_client.errors import CloudError, ServerError
from openstack_client.plan import expiry
from openstack_client.plan.inventory import EXPIRES_KEY, Inventory


def set_expiry(cloud: Cloud, mine: Inventory, moment: dt.datetime | None) -> None:
    """Let the deployment expire at that moment, or never."""
    for server in mine.servers:
        if moment is None:
            _clear(cloud, server.id)
            continue
        meta = {EXPIRES_KEY: lifetime.written(moment)}
        cloud.request(
            "Nova",
            f"set when server {server.name!r} expires",
            partial(cloud.nova.servers.set_meta, server.id, meta),
        )


def refuse_if_removed(mine: Inventory) -> None:
    """A removal that has begun cannot be stopped: parts of the deployment are deleted."""
    if expiry.removal_began(mine):
        raise ServerError(
            f"Deployment {mine.name!r} is already being removed.",
            f"`delete {mine.name}` finishes that; then deploy again.",
        )


def _clear(cloud: Cloud, server_id: str) -> None:
    try:
        cloud.request(
            "Nova",
            "remove the time at which the server expires",
            lambda: cloud.nova.servers.delete_meta(server_id, [EXPIRES_KEY]),
        )
    except CloudError as error:
        if error.status != 404:
            raise
