"""Glance, the image service."""

from __future__ import annotations

from openstack_lab.lab import Lab
from openstack_lab.services.common import api, config_of
from openstack_lab.services.database import schema
from openstack_lab.unit import Step, Unit


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("glance")
    config = ("--config-file", str(conf / "glance-api.conf"))
    return [
        schema(
            lab,
            "glance-schema",
            "Glance database schema",
            ("glance",),
            (Step((lab.layout.bin("glance-manage"), *config, "db_sync")),),
        ),
        api(
            lab,
            "glance",
            "Glance",
            "glance.wsgi.api:application",
            {"OS_GLANCE_CONFIG_DIR": str(conf), "OS_GLANCE_CONFIG_FILES": "glance-api.conf"},
            ("glance-schema",),
            config=config_of(conf),
            path="/healthcheck",
            # Nova uploads snapshots in chunks that are often over 1 MB, uwsgi's default limit.
            more=("--chunked-input-limit", str(2**28), "--chunked-input-timeout", "60"),
        ),
    ]
