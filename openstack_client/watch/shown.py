"""The certificate that a server shows: until when it is valid, and whether others accept it."""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from openstack_client.watch.tunnel import Way

SECONDS = 10.0


@dataclass(frozen=True)
class Shown:
    """A certificate, as far as clients look at it."""

    fingerprint: str
    issuer: str
    end: datetime
    accepted: bool
    """Whether the authorities that this machine knows vouch for it and for the name."""


@dataclass(frozen=True)
class Validity:
    """What clients see of a server's certificates."""

    sentence: str
    issued: bool = True
    """Whether a public authority has issued the one for the domain, if there is a domain."""


def validity(way: Way, domain: str = "") -> Validity | None:
    """Until when the server's certificate is valid. None if the server does not answer."""
    own = shown(way)
    named = shown(way, domain) if domain else None
    if own is None or (domain and named is None):
        return None
    if named is None:
        return Validity(f"valid until {own.end:%Y-%m-%d}")
    if named.fingerprint == own.fingerprint:
        return Validity(f"not issued for {domain} yet", issued=False)
    known = "" if named.accepted else ", which this machine does not know"
    return Validity(f"for {domain}, of {named.issuer}{known}; valid until {named.end:%Y-%m-%d}")


def shown(way: Way, name: str = "") -> Shown | None:
    """What a client sees that asks for this name, or for an address; None without an answer."""
    try:
        if name and (der := _handshake(way, name, ssl.create_default_context())):
            return _parsed(der, accepted=True)
        blind = ssl.create_default_context()
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        der = _handshake(way, name, blind)
    except (OSError, ValueError):
        return None
    return _parsed(der, accepted=False) if der else None


def _handshake(way: Way, name: str, context: ssl.SSLContext) -> bytes | None:
    """The certificate; None if it cannot be verified."""
    with socket.create_connection((way.address, way.port), timeout=SECONDS) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name or None) as secure:
                return secure.getpeercert(binary_form=True)
        except ssl.SSLCertVerificationError:
            return None


def _parsed(der: bytes, *, accepted: bool) -> Shown:
    found = x509.load_der_x509_certificate(der)
    issuer = found.issuer.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    issuer = issuer or found.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    who = str(issuer[0].value) if issuer else "an authority without a name"
    fingerprint = hashlib.sha256(der).hexdigest()
    return Shown(fingerprint, who, found.not_valid_after_utc, accepted)
