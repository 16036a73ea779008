"""Keystone, the identity service."""

from __future__ import annotations

from openstack_lab.lab import REGION, Lab
from openstack_lab.services.common import api, config_of
from openstack_lab.services.database import schema
from openstack_lab.unit import Step, Unit


def units(lab: Lab) -> list[Unit]:
    conf = lab.layout.conf("keystone")
    manage = (lab.layout.bin("keystone-manage"), "--config-file", str(conf / "keystone.conf"))
    keys = ("--keystone-user", "root", "--keystone-group", "root")
    url = f"{lab.url('keystone')}/v3"
    return [
        schema(
            lab,
            "keystone-schema",
            "Keystone database schema and keys",
            ("keystone",),
            (
                Step((*manage, "db_sync")),
                Step((*manage, "fernet_setup", *keys)),
                Step((*manage, "credential_setup", *keys)),
                Step(
                    (
                        *manage,
                        "bootstrap",
                        "--bootstrap-username",
                        "admin",
                        "--bootstrap-project-name",
                        "admin",
                        "--bootstrap-role-name",
                        "admin",
                        "--bootstrap-service-name",
                        "keystone",
                        "--bootstrap-region-id",
                        REGION,
                        *(
                            part
                            for interface in ("admin", "internal", "public")
                            for part in (f"--bootstrap-{interface}-url", url)
                        ),
                    )
                ),
            ),
            # In the environment, because every user can read command lines.
            OS_BOOTSTRAP_PASSWORD=lab.secrets.admin,
        ),
        api(
            lab,
            "keystone",
            "Keystone",
            "keystone.wsgi.api:application",
            {"OS_KEYSTONE_CONFIG_DIR": str(conf), "OS_KEYSTONE_CONFIG_FILES": "keystone.conf"},
            ("keystone-schema",),
            config=config_of(conf),
            path="/v3",
        ),
    ]
