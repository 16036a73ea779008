"""Certificates, made with the real openssl and checked with Python's ssl."""

from __future__ import annotations

import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from production_server.errors import ServiceError
from production_server.proxy import certificates
from production_server.proxy.certificates import Certificate, alternative, fingerprint, given, own

NAMES = ("192.0.2.7", "2001:db8::7", "stackserve.example.org")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return own(tmp_path_factory.mktemp("tls"), NAMES)


def handshake(certificate: Certificate, trusted: Path, name: str) -> None:
    """A whole TLS handshake in memory. Raises ssl.SSLError if the client refuses."""
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(certificate.certificate, certificate.key)
    client_context = ssl.create_default_context(cafile=str(trusted))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server, client, server]
    for side in waiting:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_accepts_each_name(made: Certificate, name: str) -> None:
    assert made.authority is not None
    handshake(made, made.authority, name)


def test_another_name_is_refused(made: Certificate) -> None:
    assert made.authority is not None
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(made, made.authority, "192.0.2.8")


def test_another_authority_is_refused(made: Certificate, tmp_path: Path) -> None:
    other = own(tmp_path, NAMES).authority
    assert other is not None
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, other, NAMES[0])


def test_only_the_owner_reads_the_key_and_the_authority_has_none_left(made: Certificate) -> None:
    assert stat.S_IMODE(made.key.stat().st_mode) == 0o600
    files = {path.name for path in made.key.parent.rglob("*") if path.is_file()}
    assert files == {"authority.pem", "names", "server.key", "server.pem"}


def test_the_same_names_keep_the_certificate_and_others_change_it(tmp_path: Path) -> None:
    first = own(tmp_path, NAMES)
    before = first.certificate.read_bytes()
    assert own(tmp_path, reversed(NAMES)).certificate.read_bytes() == before
    assert own(tmp_path, NAMES[:1]).certificate.read_bytes() != before


def test_a_certificate_that_is_nearly_over_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own(tmp_path, NAMES).certificate.read_bytes()
    monkeypatch.setattr(certificates, "RENEW_SECONDS", (certificates.DAYS + 1) * 24 * 3600)
    assert own(tmp_path, NAMES).certificate.read_bytes() != before


def test_one_that_was_cut_off_while_it_was_made_is_made_again(tmp_path: Path) -> None:
    made = own(tmp_path, NAMES)
    (tmp_path / "names").unlink()
    made.certificate.write_bytes(b"")
    assert made.authority is not None
    handshake(own(tmp_path, NAMES), made.authority, NAMES[0])


def test_the_fingerprint_is_what_openssl_shows(made: Certificate) -> None:
    assert made.authority is not None
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(made.authority)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.strip().partition("=")[2] == fingerprint(made.authority)


def test_a_key_of_another_certificate_is_refused(made: Certificate, tmp_path: Path) -> None:
    other = own(tmp_path, NAMES)
    with pytest.raises(ServiceError, match=r"cannot use .*server\.pem with .*server\.key"):
        given(made.certificate, other.key)


def test_a_missing_file_is_named(made: Certificate, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="No such file"):
        given(tmp_path / "no.pem", made.key)


@pytest.mark.parametrize("name", ["", "a b", "x\ny", "DNS:x,IP:1.2.3.4", "../x"])
def test_what_is_no_name_gets_into_no_certificate(name: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        alternative(name)


def test_addresses_and_names_are_told_apart() -> None:
    assert [alternative(name) for name in ("192.0.2.1", "[::1]", "a.example")] == [
        "IP:192.0.2.1",
        "IP:::1",
        "DNS:a.example",
    ]
