"""The values of --tls and --domain, and which certificates are refused at once."""

from __future__ import annotations

import hashlib
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from openstack_client.errors import SettingsError
from openstack_client.roles import TlsKind
from openstack_client.settings import merge
from openstack_client.tls import files, host_name, kind, load
from production_server.proxy import certificates
from production_server.proxy.certificates import Certificate

NAMES = ("clinic.example.org", "192.0.2.7")


def made(folder: Path) -> Certificate:
    folder.mkdir()
    return certificates.own(folder, NAMES)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return made(tmp_path_factory.mktemp("made") / "own")


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def test_it_knows_names_end_and_fingerprint(own: Certificate, now: datetime) -> None:
    given = load(own.certificate, own.key, now)
    leaf = ssl.PEM_cert_to_DER_cert(own.certificate.read_text().split("-----END")[0] + END)
    assert given.fingerprint == hashlib.sha256(leaf).hexdigest()
    assert set(given.names) == set(NAMES)
    assert given.end - now > timedelta(days=certificates.DAYS - 2)
    assert given.sentence.startswith("for clinic.example.org, 192.0.2.7; valid until 20")


END = "-----END CERTIFICATE-----\n"


def test_the_server_gets_the_chain_and_the_key_and_nothing_else(
    own: Certificate, now: datetime, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    text = b"notes of mine\n" + own.key.read_bytes() + own.certificate.read_bytes() + b"more\n"
    both.write_bytes(text)
    pem = load(both, both, now).pem
    blocks = [line for line in pem.splitlines() if line.startswith(b"-----BEGIN")]
    assert blocks == [b"-----BEGIN CERTIFICATE-----"] * 2 + [b"-----BEGIN PRIVATE KEY-----"]
    assert b"mine" not in pem and b"more" not in pem
    whole = tmp_path / "whole.pem"
    whole.write_bytes(pem)
    certificates.given(whole, whole)


def test_what_it_holds_is_not_shown(own: Certificate, now: datetime) -> None:
    assert "PRIVATE" not in repr(load(own.certificate, own.key, now))


def test_a_key_of_another_certificate(own: Certificate, now: datetime, tmp_path: Path) -> None:
    other = made(tmp_path / "other")
    with pytest.raises(SettingsError, match="the key is that of another certificate"):
        load(own.certificate, other.key, now)


def test_an_encrypted_key(own: Certificate, now: datetime, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(own.key), "-aes256", "-passout", "pass:x"]
    subprocess.run([*command, "-out", str(locked)], check=True)
    with pytest.raises(SettingsError, match="is encrypted") as raised:
        load(own.certificate, locked, now)
    assert f"openssl pkey -in {locked} -out NEW" in raised.value.remedy


@pytest.mark.parametrize(
    ("days", "said"), [(certificates.DAYS + 1, "expired on 20"), (-2, "is valid from 20")]
)
def test_one_that_is_not_valid_now(own: Certificate, now: datetime, days: int, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(own.certificate, own.key, now + timedelta(days=days))


def test_files_that_are_not_there_or_hold_something_else(
    own: Certificate, now: datetime, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"cannot read .*no\.pem: No such file"):
        load(tmp_path / "no.pem", own.key, now)
    with pytest.raises(SettingsError, match=r"cannot read .*: Is a directory"):
        load(own.certificate, tmp_path, now)
    empty = tmp_path / "empty.pem"
    empty.write_text("hello")
    with pytest.raises(SettingsError, match="cannot use"):
        load(empty, own.key, now)
    with pytest.raises(SettingsError, match="certificate with its chain, then its key"):
        load(own.key, own.certificate, now)


@pytest.mark.parametrize("value", ["mine", "cert.pem", "cert.pem,", ",key.pem", "acme,"])
def test_what_is_no_value_of_tls(value: str) -> None:
    with pytest.raises(SettingsError, match="must be self, acme, or two files: CERT,KEY"):
        merge({"tls": value}, {}, None)


def test_values_of_tls() -> None:
    assert [kind(value) for value in ("self", "acme", "a,b")] == list(TlsKind)
    assert files("a.pem,/b.key") == (Path("a.pem"), Path("/b.key"))


def test_files_are_relative_to_the_settings_that_name_them(tmp_path: Path) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text('tls = "cert.pem,/secret/key.pem"\n')
    assert merge({}, {}, file)[0].tls == f"{tmp_path}/cert.pem,/secret/key.pem"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("Clinic.Example.org", "clinic.example.org"),
        ("klinik-ä.example", "xn--klinik--cxa.example"),
        ("a.b.c.example", "a.b.c.example"),
    ],
)
def test_host_names(given: str, found: str) -> None:
    assert host_name(given) == found


@pytest.mark.parametrize(
    "given",
    [
        *("", "localhost", "192.0.2.1", "2001:db8::1", "https://a.example", "a.example:443"),
        *("a..example", "-a.example", "a_b.example", "*.example.org", "a b.example", ".a.example"),
        "x." * 130 + "example",
    ],
)
def test_what_is_no_host_name(given: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        host_name(given)


def test_the_authority_is_asked_over_https() -> None:
    for wrong in ("http://acme.example/dir", 'https://a"b', "https://a b", "https://me@x/dir"):
        with pytest.raises(SettingsError, match="acme-server"):
            merge({"acme_server": wrong}, {}, None)
