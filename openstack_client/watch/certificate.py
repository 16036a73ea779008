"""Deliver the certificate of --tls CERT,KEY, to a new server or to one that runs."""

from __future__ import annotations

from dataclasses import dataclass

from openstack_client.plan.secured import CERTIFICATE_KEY
from openstack_client.roles import PROXY
from openstack_client.tls import Given
from openstack_client.watch.authority import note
from openstack_client.watch.boot import BootConsole, knows_host
from openstack_client.watch.delivery import NO_HOST_KEY, Delivery, by_hand
from openstack_client.watch.ssh import SshTarget


@dataclass
class CertificateDelivery:
    """Delivers it as soon as the server's host key is known, beside the code."""

    console: BootConsole
    delivery: Delivery
    given: Given

    @classmethod
    def to(cls, target: SshTarget, given: Given, console: BootConsole) -> CertificateDelivery:
        delivery = Delivery(
            target, "the server", "certificate", lambda: given.pem, console.progress
        )
        return cls(console, delivery, given)

    def attempt(self) -> bool:
        """Try it, if it is time, without waiting. Returns whether the server has it."""
        if self.delivery.done or not self._knows_host:
            return self.delivery.done
        awaited = self.console.has_begun(PROXY) or not self.console.marks
        if self.delivery.attempt(awaited=awaited):
            server = self.console.server
            note(self.console.cloud, server, CERTIFICATE_KEY, self.given.fingerprint)
        return self.delivery.done

    def close(self) -> None:
        self.delivery.close()

    @property
    def missing(self) -> str:
        """What keeps it from the server, for an error message; empty if it has it."""
        if self.delivery.done:
            return ""
        return self.delivery.answer if self._knows_host else NO_HOST_KEY

    @property
    def remedy(self) -> str:
        """What to do about that; empty if nothing is known to be wrong."""
        if self.delivery.done:
            return ""
        if not self._knows_host:
            return by_hand(self.delivery.target)
        return self.delivery.error.remedy if self.delivery.error else ""

    @property
    def _knows_host(self) -> bool:
        target = self.delivery.target
        return knows_host(target.known_hosts, target.address)
