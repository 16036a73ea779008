"""RabbitMQ's certificate and its authority: steps/certificates.py, with the real openssl."""

from __future__ import annotations

import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from production_server.remote.access import SERVER_NAME
from tests.support.tls_broker import make_certificates
from tests.unit.cloud_init.steps import load


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("made") / "tls")


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_name_is_the_one_in_tickets() -> None:
    assert load("steps/certificates.py").NAME == SERVER_NAME


def test_clients_can_verify_the_certificate_and_its_name(made: Path) -> None:
    verify = ("verify", "-x509_strict", "-CAfile", str(made / "authority.pem"), "-purpose")
    certificate = str(made / "broker.pem")
    right = openssl(*verify, "sslserver", "-verify_hostname", SERVER_NAME, certificate)
    assert right == f"{certificate}: OK\n"
    assert "mismatch" in openssl(*verify, "sslserver", "-verify_hostname", "other", certificate)
    assert "purpose" in openssl(*verify, "sslclient", certificate)


def test_nobody_keeps_the_key_of_the_authority(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {"authority.pem", "broker.key", "broker.pem"}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError, match="MISMATCH"):
        context.load_cert_chain(made / "authority.pem", made / "broker.key")
    context.load_cert_chain(made / "broker.pem", made / "broker.key")


def test_only_rabbitmq_can_read_the_key(made: Path) -> None:
    assert stat.S_IMODE((made / "broker.key").stat().st_mode) == 0o400


def test_they_are_made_once(made: Path) -> None:
    before = (made / "broker.pem").read_text()
    make_certificates(made)
    assert (made / "broker.pem").read_text() == before


def test_each_server_has_an_authority_of_its_own(made: Path, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "tls")
    refused = openssl("verify", "-CAfile", str(other / "authority.pem"), str(made / "broker.pem"))
    assert "verification failed" in refused
