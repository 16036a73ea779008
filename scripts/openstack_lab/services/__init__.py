"""The declarations: one module a service, gathered here in the order in which people think."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services import (
    catalog,
    database,
    glance,
    keystone,
    neutron,
    nova,
    placement,
    queue,
    switch,
    virtualization,
)
from openstack_lab.unit import Unit, in_order


def control_plane(lab: Lab) -> list[Unit]:
    """Everything but the hosts of servers."""
    return in_order(
        [
            *database.units(lab),
            *queue.units(lab),
            *keystone.units(lab),
            *catalog.units(lab),
            *glance.units(lab),
            *placement.units(lab),
            *switch.units(lab),
            *neutron.units(lab),
            *nova.units(lab),
        ]
    )


def declare(lab: Lab) -> list[Unit]:
    """Every unit that this lab should run."""
    units = control_plane(lab)
    if lab.choices.hypervisor.real:
        units += [*virtualization.units(lab), *nova.real_compute(lab)]
    if lab.choices.hypervisor.fake:
        units += [*nova.fake_compute(lab), *neutron.fake_agent(lab)]
    return in_order(units)
