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


def declare(lab: Lab) -> list[Unit]:
    """Every unit that this lab should run."""
    units = [
        *database.units(lab), *queue.units(lab), *keystone.units(lab), *catalog.units(lab),
        *glance.units(lab), *placement.units(lab), *switch.units(lab), *neutron.units(lab),
        *nova.units(lab),
    ]  # fmt: skip
    if lab.choices.hypervisor.real:
        units += [*virtualization.units(lab), *nova.real_compute(lab)]
    if lab.choices.hypervisor.fake:
        units += [*nova.fake_compute(lab), *neutron.fake_agent(lab)]
    return in_order(units)
