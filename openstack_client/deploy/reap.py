"""Find the project's expired deployments and delete them, each as `delete` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from openstack_client import lifetime
from openstack_client.cloud import queries
from openstack_client.cloud.client import Cloud
from openstack_client.deploy import credential
from openstack_client.deploy.delete import Deleter, server_groups
from openstack_client.deploy.lease import held_by_another
from openstack_client.errors import LauncherError, Problem
from openstack_client.plan import expiry, inventory
from openstack_client.plan.inventory import Inventory


@dataclass
class Reaped:
    """What one run of reap did."""

    deleted: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_all(cloud: Cloud) -> list[Inventory]:
    """Every deployment in the project."""
    servers, groups = queries.servers(cloud), queries.groups(cloud)
    ports, addresses = queries.ports(cloud), queries.addresses(cloud)
    pairs, spread = queries.keypairs(cloud), server_groups(cloud)
    return [
        inventory.pick(
            name,
            cloud.project_id,
            servers=servers,
            groups=groups,
            ports=ports,
            addresses=addresses,
            keypairs=pairs,
            server_groups=spread,
        )
        for name in inventory.deployment_names(servers, groups, ports, addresses)
    ]


def find_due(cloud: Cloud) -> tuple[list[Inventory], list[Inventory]]:
    """The expired deployments: those to delete, and those that a deploy is working on."""
    due = expiry.due(find_all(cloud), lifetime.now())
    busy = [mine for mine in due if held_by_another(mine.name, mine.ports, time.time())]
    return [mine for mine in due if mine not in busy], busy


def reap(cloud: Cloud, due: Sequence[Inventory], note: Callable[[str], None]) -> Reaped:
    """Delete these deployments. A failure does not stop the others."""
    result = Reaped()
    for mine in due:
        note(f"Deleting {mine.name!r}:")
        try:
            Deleter(cloud, note).delete(mine)
        except LauncherError as error:
            result.problems += error.problems or [Problem(mine.name, error.what)]
        else:
            result.deleted.append(mine.name)
    result.notes = credential.sweep(cloud)
    return result
