"""The units of the lab: one module per service."""

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
    """Every unit except the hypervisors."""
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
    """Every unit of this lab, each after the units that it requires."""
    units = control_plane(lab)
    if lab.choices.hypervisor.real:
        units += [*virtualization.units(lab), *nova.real_compute(lab)]
    if lab.choices.hypervisor.fake:
        units += [*nova.fake_compute(lab), *neutron.fake_agent(lab)]
    return in_order(units)
