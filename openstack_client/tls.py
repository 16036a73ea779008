"""The values of --tls and --domain, and the certificate that --tls CERT,KEY names."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cryptography import x509
from pydantic import AfterValidator, Field

from openstack_client.errors import SettingsError
from openstack_client.roles import TlsKind

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
LONGEST_NAME = 253
# Nothing else in the files is sent to the server.
CERTIFICATES = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)


ACME = r"^https://[^\s\"'\\$`<>|;@]+$"


class _Encrypted(Exception):
    """openssl asks for the passphrase of the key."""


@dataclass(frozen=True)
class Given:
    """A certificate with its chain, and its key."""

    pem: bytes = field(repr=False)
    """Both, as the server gets them. Secret."""
    fingerprint: str
    """The SHA-256 of the certificate itself, without the chain."""
    names: tuple[str, ...]
    """The names and addresses that it is for."""
    end: datetime

    @property
    def sentence(self) -> str:
        names = ", ".join(self.names) or "no name, so clients refuse it"
        return f"for {names}; valid until {self.end:%Y-%m-%d}"


def value(given: str) -> str:
    """A value of --tls. Raises ValueError if it is none."""
    certificate, comma, key = given.partition(",")
    if given not in {TlsKind.SELF, TlsKind.ACME} and not (certificate and comma and key):
        raise ValueError("must be self, acme, or two files: CERT,KEY")
    return given


def kind(given: str) -> TlsKind:
    return TlsKind.FILES if "," in given else TlsKind(given)


def files(given: str) -> tuple[Path, Path]:
    """The two files that a value of --tls names."""
    certificate, _, key = given.partition(",")
    return Path(certificate).expanduser(), Path(key).expanduser()


def relative_to(folder: Path, given: object) -> object:
    """A value of --tls in a file in this folder; its own files are relative to that."""
    if isinstance(given, str) and "," in given:
        return ",".join(str(folder / file) for file in files(given))
    return given


def host_name(name: str) -> str:
    """The same name in the form that authorities use. Raises ValueError if it is none."""
    try:
        encoded = name.strip().encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError(f"{name!r} is not a host name") from error
    labels = encoded.split(".")
    if len(encoded) > LONGEST_NAME or not all(map(LABEL.fullmatch, labels)):
        raise ValueError(f"{name!r} is not a host name; leave out https:// and the port")
    if len(labels) < 2 or labels[-1].isdigit():
        raise ValueError(f"{name!r} is not a name that a public authority knows")
    return encoded


TlsValue = Annotated[str, AfterValidator(value)]
HostName = Annotated[str, AfterValidator(host_name)]
AcmeServer = Annotated[str, Field(pattern=ACME, max_length=255)]


def load(certificate: Path, key: Path, now: datetime) -> Given:
    """The certificate in these files. Raises SettingsError if a server could not use it."""
    for file in (certificate, key):
        _check_file(file)
    _check_pair(certificate, key)
    pem = CERTIFICATES.findall(certificate.read_bytes())
    secret = KEY.search(key.read_bytes())
    if not pem or not secret:
        raise _unusable(certificate, key, "there is no PEM certificate, or no PEM key")
    leaf = x509.load_pem_x509_certificate(pem[0])
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not begin <= now <= end:
        when = f"expired on {end:%Y-%m-%d}" if now > end else f"is valid from {begin:%Y-%m-%d}"
        raise SettingsError(
            f"--tls: the certificate in {certificate} {when}.", "Name one that is valid now."
        )
    der = ssl.PEM_cert_to_DER_cert(pem[0].decode("ascii"))
    whole = b"\n".join([*pem, secret[0], b""])
    return Given(whole, hashlib.sha256(der).hexdigest(), _names(leaf), end)


def _check_file(file: Path) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"--tls: cannot read {file}: {error.strerror}.",
            "Name two files on this machine: the certificate with its chain, then its key.",
        ) from error


def _check_pair(certificate: Path, key: Path) -> None:
    def ask() -> str:
        raise _Encrypted

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, ask)
    except _Encrypted as error:
        raise SettingsError(
            f"--tls: the key in {key} is encrypted, and a server cannot ask for its passphrase.",
            f"Name a decrypted copy: openssl pkey -in {key} -out NEW.",
        ) from error
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        why = "the key is that of another certificate" if mismatch else str(error)
        raise _unusable(certificate, key, why) from error


def _unusable(certificate: Path, key: Path, why: str) -> SettingsError:
    return SettingsError(
        f"--tls: cannot use {certificate} with {key}: {why}.",
        "Name two PEM files: the certificate with its chain, then its key.",
    )


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*found.get_values_for_type(x509.DNSName), *map(str, addresses))
