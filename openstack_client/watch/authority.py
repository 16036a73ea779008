"""How the launcher recognizes a server with TLS.

By the authority that its console announced last; or, with --tls CERT,KEY, by that very
certificate, whoever signed it. Both are noted in Nova's metadata, for other machines and for when
the console has forgotten its first lines.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from openstack_client.cloud.client import Cloud
from openstack_client.cloud.resources import Server
from openstack_client.errors import CloudError
from openstack_client.plan.inventory import AUTHORITY_KEY, authority_of
from openstack_client.plan.secured import CERTIFICATE_KEY, Secured
from openstack_client.roles import TlsKind
from openstack_client.watch import console
from openstack_client.watch.probe import Service
from openstack_client.watch.trust import learn
from openstack_client.watch.tunnel import Way


@dataclass
class Recognition:
    """Of one server. It changes when the server announces another authority."""

    cloud: Cloud
    server: Server
    way: Way
    service: Service
    file: Path
    """Where its authority is saved."""
    trusted: str = ""
    """The fingerprint that counts now."""

    def update(self, text: str) -> None:
        """Trust what the console announced last. Raises Untrusted if the server shows another one.

        The console counts more than what was noted: a server makes a new authority when its
        certificate is nearly over or its address changes.
        """
        if Secured.from_metadata(self.server.metadata).kind is TlsKind.FILES:
            self.pin(self.trusted or self.server.metadata.get(CERTIFICATE_KEY, ""))
            return
        announced = console.authority(text)
        fingerprint = announced or authority_of(self.server)
        if not fingerprint:
            self.service.untrusted = "has not announced its certificate authority yet"
        elif fingerprint != self.trusted and self._trust(fingerprint) and announced:
            note(self.cloud, self.server, AUTHORITY_KEY, announced)

    def pin(self, certificate: str) -> None:
        """Accept this certificate alone."""
        if not certificate:
            self.service.untrusted = "was not given a certificate yet"
        elif certificate != self.trusted or self.service.untrusted:
            self.service.pin(certificate)
            self.trusted = certificate

    def _trust(self, fingerprint: str) -> bool:
        try:
            self.service.trust(learn(self.file, self.way.address, self.way.port, fingerprint))
        except OSError:
            self.service.untrusted = "does not answer yet"
            return False
        self.trusted = fingerprint
        return True


def note(cloud: Cloud, server: Server, key: str, fingerprint: str) -> None:
    """Note it in the server's metadata. Whoever may not do that goes on without."""
    if server.metadata.get(key) == fingerprint:
        return
    set_meta = partial(cloud.nova.servers.set_meta, server.id, {key: fingerprint})
    with suppress(CloudError):
        cloud.request("Nova", "note the server's certificate", set_meta)
