"""Decide how a server with TLS gets its certificate. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Self

from openstack_client import tls
from openstack_client.cloud.resources import Server
from openstack_client.errors import Problem, SettingsError
from openstack_client.plan import inventory
from openstack_client.roles import TlsKind
from openstack_client.settings import Settings
from openstack_client.tls import Given

KIND_KEY = "stackserve_tls"
DOMAIN_KEY = "stackserve_domain"
ACME_KEY = "stackserve_acme"
# The fingerprint of the certificate that the launcher has delivered.
CERTIFICATE_KEY = "stackserve_certificate"


@dataclass(frozen=True)
class Secured:
    """Where the certificate comes from, and for which name. Kept in the server's metadata."""

    kind: TlsKind = TlsKind.SELF
    domain: str = ""
    acme_server: str = ""
    """Empty for the service's default."""

    @property
    def flags(self) -> str:
        """How a person asks for it."""
        value = "CERT,KEY" if self.kind is TlsKind.FILES else self.kind.value
        more = {"domain": self.domain, "acme-server": self.acme_server}
        return f"--tls {value}" + "".join(f" --{flag} {of}" for flag, of in more.items() if of)

    def as_metadata(self, given: Given | None = None) -> dict[str, str]:
        """With the fingerprint of the certificate that is delivered, if any."""
        values = {KIND_KEY: self.kind, DOMAIN_KEY: self.domain, ACME_KEY: self.acme_server}
        values |= {CERTIFICATE_KEY: given.fingerprint} if given else {}
        return {key: str(value) for key, value in values.items() if value}

    @classmethod
    def from_metadata(cls, values: Mapping[str, str]) -> Self:
        """What the metadata says. An older release knew only one kind."""
        kind = TlsKind(values.get(KIND_KEY, TlsKind.SELF))
        return cls(kind, values.get(DOMAIN_KEY, ""), values.get(ACME_KEY, ""))


def asked(settings: Settings) -> Secured | None:
    """What the settings ask for. Raises SettingsError if they contradict each other."""
    kind = tls.kind(settings.tls) if settings.tls else None
    if kind is TlsKind.ACME and not settings.domain:
        raise SettingsError(
            "--tls acme needs --domain: the name for which the authority issues the certificate.",
            "Add --domain NAME, or use --tls self, which needs no name.",
        )
    if kind is not TlsKind.ACME:
        given = [
            flag
            for flag, value in (
                ("--domain", settings.domain),
                ("--acme-server", settings.acme_server),
            )
            if value
        ]
        if given:
            raise SettingsError(
                f"{' and '.join(given)}: only for --tls acme.", "Add --tls acme, or leave this out."
            )
    if kind is None:
        return None
    return Secured(kind, settings.domain or "", settings.acme_server or "")


def kept(front: Server | None) -> Secured | None:
    """What the server has; None without TLS."""
    if front is None or not inventory.watched(front).tls:
        return None
    return Secured.from_metadata(front.metadata)


def conflict(name: str, has: Secured | None, wants: Secured) -> Problem | None:
    """Why a server that stays cannot have what the settings ask for."""
    if has == wants:
        return None
    return Problem(
        "TLS",
        f"deployment {name!r} has {has.flags if has else 'no TLS'}, not {wants.flags}.",
        "Leave out --tls to keep that, or replace the server with --recreate, after a `backup`.",
    )


def without_certificate(name: str) -> Problem:
    """The problem with a new server for which there is no certificate on this machine."""
    return Problem(
        "TLS",
        f"deployment {name!r} has --tls CERT,KEY, and a new server needs both files again.",
        "Name them with --tls CERT,KEY.",
    )


def name_note(domain: str, found: Collection[str], address: str) -> str:
    """What is wrong with where a name leads; empty if nothing. `address` may be unknown yet."""
    if address and address in found:
        return ""
    leads = f"{domain} leads to {', '.join(sorted(found))}" if found else f"{domain} is not known"
    leads += ", as far as this machine can tell"
    if not address:
        return f"{leads}. It must lead to the server's address, which deploy prints."
    return (
        f"{leads}. Let it lead to {address} (an {'AAAA' if ':' in address else 'A'} record); the "
        "server keeps asking for the certificate."
    )
