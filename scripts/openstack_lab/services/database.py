"""MariaDB for the lab only: its own data folder, loopback only, small buffers."""

from __future__ import annotations

from dataclasses import replace

from openstack_lab.lab import Lab
from openstack_lab.services.common import config_of, environment
from openstack_lab.unit import Check, Step, Unit

# Timeout of one migration command, in seconds. Nova's and Neutron's take minutes under load.
SCHEMA_TIMEOUT = 600
DATABASES = ("keystone", "glance", "placement", "nova_api", "nova", "nova_cell0", "neutron")


def units(lab: Lab) -> list[Unit]:
    data, conf = lab.layout.data("mysql"), lab.layout.conf("mysql")
    return [
        Unit(
            name="database-files",
            title="MariaDB data folder",
            only_once=True,  # its first step deletes the data
            steps=(
                Step(("rm", "-rf", f"{data}/data")),
                Step(("install", "-d", "-o", "mysql", "-g", "mysql", "-m", "700", str(data))),
                Step(
                    (
                        "mariadb-install-db",
                        "--no-defaults",
                        "--user=mysql",
                        "--skip-test-db",
                        f"--datadir={data}/data",
                        "--auth-root-authentication-method=socket",
                    )
                ),
            ),
            environment=environment(lab),
        ),
        Unit(
            name="database",
            title="MariaDB",
            command=("mariadbd", f"--defaults-file={conf}/mariadb.cnf"),
            environment=environment(lab, HOME=str(data)),
            user="mysql",
            requires=("database-files",),
            check=Check("tcp", "127.0.0.1:3306"),
            patience=20,
            config=config_of(conf),
        ),
    ]


def schema(
    lab: Lab,
    name: str,
    title: str,
    databases: tuple[str, ...],
    steps: tuple[Step, ...],
    requires: tuple[str, ...] = (),
    **variables: str,
) -> Unit:
    """A task that creates a service's tables.

    Migrations cannot continue on half-made tables, so an interrupted first run starts again from
    empty databases.
    """
    socket = lab.layout.data("mysql") / "mariadb.sock"
    statements = "".join(f"DROP DATABASE IF EXISTS {d}; CREATE DATABASE {d}; " for d in databases)
    client = ("mariadb", "--no-defaults", f"--socket={socket}", "--user=root")
    return Unit(
        name=name,
        title=title,
        reset=(Step((*client, f"--execute={statements}")),),
        steps=tuple(replace(step, timeout=SCHEMA_TIMEOUT) for step in steps),
        environment=environment(lab, **variables),
        # Also if another unit requires the database: that one may be a task that is done.
        requires=("database", *requires),
    )
