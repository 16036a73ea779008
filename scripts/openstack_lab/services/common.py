"""Helpers for the services: environments, config fingerprints, an API behind uwsgi."""

from __future__ import annotations

import hashlib
from pathlib import Path

from openstack_lab.lab import PORTS, Lab
from openstack_lab.namespace import base_environment
from openstack_lab.unit import Check, Unit


def environment(lab: Lab, **more: str) -> dict[str, str]:
    return {**base_environment(lab.layout), **more}


def config_of(folder: Path) -> str:
    """A fingerprint of the config files in `folder`. A change restarts the units that read them."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def api(
    lab: Lab,
    name: str,
    title: str,
    module: str,
    variables: dict[str, str],
    requires: tuple[str, ...],
    *,
    port_of: str = "",
    address: str = "",
    config: str = "",
    path: str = "/",
    more: tuple[str, ...] = (),
) -> Unit:
    """A WSGI application served by uwsgi, in one process with threads."""
    endpoint = f"{address or lab.api}:{PORTS[port_of or name]}"
    return Unit(
        name=name,
        title=title,
        command=(
            lab.layout.bin("uwsgi"),
            "--http-socket",
            endpoint,
            "--module",
            module,
            "--master",
            "--processes",
            "1",
            "--threads",
            "12",
            "--lazy-apps",
            "--enable-threads",
            "--thunder-lock",
            "--buffer-size",
            "65535",
            "--http-chunked-input",
            "--die-on-term",
            "--need-app",
            "--procname-prefix",
            f"{name}-",
            # Without it, clients with keep-alive connections see resets.
            "--add-header",
            "Connection: close",
            "--listen",
            "100",
            *more,
        ),
        environment=environment(lab, **variables),
        requires=requires,
        check=Check("http", f"{endpoint}{path}"),
        config=config or config_of(lab.layout.conf(name)),
    )
