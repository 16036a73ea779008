"""libvirt and QEMU for real guests."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services.common import config_of, environment
from openstack_lab.unit import Check, Step, Unit


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("libvirt")
    node = (
        Step(("mknod", "/dev/kvm", "c", "10", "232"), accept=(0, 1))
        if lab.kvm
        else Step(("rm", "-f", "/dev/kvm"))
    )
    return [
        Unit(
            name="hardware",
            title="Hardware virtualization" if lab.kvm else "Emulation of guests",
            steps=(node,),
            environment=environment(lab),
            each_start=True,
        ),
        Unit(
            name="libvirt",
            title="libvirt",
            command=("libvirtd", "--config", str(conf / "libvirtd.conf")),
            environment=environment(lab, LIBVIRT_DEBUG="3"),
            requires=("hardware",),
            check=Check("path", "/run/libvirt/libvirt-sock"),
            config=config_of(conf),
        ),
    ]
