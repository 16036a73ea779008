"""Placement, the inventory of free resources."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services.common import api, config_of
from openstack_lab.services.database import schema
from openstack_lab.unit import Step, Unit


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("placement")
    config = ("--config-file", str(conf / "placement.conf"))
    return [
        schema(
            lab,
            "placement-schema",
            "Placement database schema",
            ("placement",),
            (Step((lab.layout.bin("placement-manage"), *config, "db", "sync")),),
        ),
        api(
            lab,
            "placement",
            "Placement",
            "placement.wsgi.api:application",
            {"OS_PLACEMENT_CONFIG_DIR": str(conf)},
            ("placement-schema",),
            config=config_of(conf),
        ),
    ]
