"""The service catalog: service users, services and endpoints, created with Keystone's API."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.namespace import own_environment
from openstack_lab.unit import Step, Unit


def units(lab: Lab) -> list[Unit]:
    return [
        Unit(
            name="catalog",
            title="Service users and endpoints",
            steps=(
                Step(
                    (
                        str(lab.layout.python),
                        "-m",
                        "openstack_lab.cloud.register_services",
                        str(lab.layout.folder),
                        str(lab.settings.cache),
                        str(lab.settings.network),
                    )
                ),
            ),
            environment=own_environment(lab.layout),
            requires=("keystone",),
        )
    ]
