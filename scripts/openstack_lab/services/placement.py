"""Placement: who has how much left."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services.common import api, config_of, environment
from openstack_lab.unit import Step, Unit


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("placement")
    config = ("--config-file", str(conf / "placement.conf"))
    return [
        Unit(
            name="placement-schema",
            title="Placement's tables",
            steps=(Step((lab.layout.bin("placement-manage"), *config, "db", "sync")),),
            environment=environment(lab),
            requires=("database",),
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
