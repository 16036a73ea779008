"""Nova, the compute service: one control plane, and one nova-compute per hypervisor."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services.common import api, config_of, environment
from openstack_lab.services.database import schema
from openstack_lab.unit import Check, Step, Unit

# Exit code of `create_cell` if the cell exists, from an interrupted start.
CELL_EXISTS = 2


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("nova")
    main = ("--config-file", str(conf / "nova.conf"))
    manage = (lab.layout.bin("nova-manage"), *main)
    cells = (*manage, "cell_v2")
    ready = ("nova-schema", "queue", "catalog")
    variables = {"OS_NOVA_CONFIG_DIR": str(conf)}
    return [
        schema(
            lab,
            "nova-api-schema",
            "Nova API database schema",
            ("nova_api",),
            (
                Step((*manage, "api_db", "sync")),
                Step((*cells, "map_cell0")),
                Step((*cells, "create_cell", "--name", "cell1"), accept=(0, CELL_EXISTS)),
            ),
        ),
        schema(
            lab,
            "nova-schema",
            "Nova database schema",
            ("nova", "nova_cell0"),
            (Step((*manage, "db", "sync")),),
            ("nova-api-schema",),
        ),
        api(
            lab,
            "nova",
            "Nova",
            "nova.wsgi.osapi_compute:application",
            variables,
            ready,
            config=config_of(conf),
        ),
        api(
            lab,
            "nova-metadata",
            "Nova metadata",
            "nova.wsgi.metadata:application",
            variables,
            ready,
            port_of="metadata",
            address="127.0.0.1",
            config=config_of(conf),
        ),
        *(
            Unit(
                name=f"nova-{name}",
                title=f"Nova {name}",
                command=(lab.layout.bin(f"nova-{name}"), *main),
                environment=environment(lab),
                requires=ready,
                check=Check("consumer", name, lab.broker),
                config=config_of(conf),
            )
            for name in ("conductor", "scheduler")
        ),
    ]


def _compute(lab: Lab, kind: str, title: str, requires: tuple[str, ...]) -> Unit:
    conf = lab.layout.conf(f"nova-compute-{kind}")
    return Unit(
        name=f"nova-compute-{kind}",
        title=title,
        command=(lab.layout.bin("nova-compute"), "--config-file", str(conf / "nova-compute.conf")),
        environment=environment(lab),
        requires=("nova-conductor", "placement", *requires),
        config=config_of(conf),
    )


def real_compute(lab: Lab) -> list[Unit]:
    return [_compute(lab, "qemu", "Nova compute (libvirt)", ("libvirt", "neutron-openvswitch"))]


def fake_compute(lab: Lab) -> list[Unit]:
    return [_compute(lab, "fake", "Nova compute (fake)", ())]
