"""The certificate authority of a deployment: announced on the console, kept in Nova's metadata."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.errors import ServerError
from openstack_client.plan.inventory import AUTHORITY_KEY, authority_of
from openstack_client.watch.probe import Service
from openstack_client.watch.trust import Untrusted, learn
from openstack_client.watch.tunnel import Way


def trust_announced(service: Service, way: Way, file: Path, server: Server, announced: str) -> None:
    """Trust the authority that a server being set up has announced.

    Raises ServerError if it shows another one.
    """
    known = announced or authority_of(server)
    if not known:
        service.untrusted = "has not announced its certificate authority yet"
        return
    try:
        _trust(service, way, file, known)
    except Untrusted as error:
        raise ServerError(
            f"{way.name} {error}.",
            "Somebody may intercept the connection. If not, replace the server: deploy --recreate.",
        ) from error


def trust_known(service: Service, way: Way, file: Path, server: Server) -> None:
    """Trust the authority that the server's metadata names."""
    known = authority_of(server)
    if not known:
        service.untrusted = "has announced no certificate authority; `deploy` reads its console"
        return
    try:
        _trust(service, way, file, known)
    except Untrusted as error:
        service.untrusted = str(error)


def remember(cloud: Cloud, server: Server, fingerprint: str) -> None:
    """Note it in the server's metadata, for other machines and for when the console is full."""
    if authority_of(server) == fingerprint:
        return
    meta = {AUTHORITY_KEY: fingerprint}
    set_meta = partial(cloud.nova.servers.set_meta, server.id, meta)
    cloud.request("Nova", "note the server's certificate authority", set_meta)


def _trust(service: Service, way: Way, file: Path, fingerprint: str) -> None:
    try:
        service.trust(learn(file, way.address, way.port, fingerprint))
    except OSError:
        service.untrusted = "does not answer yet"
