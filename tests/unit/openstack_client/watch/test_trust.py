"""Which certificate authority is trusted, against a real server with TLS."""

from __future__ import annotations

import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from openstack_client.watch.probe import Service
from openstack_client.watch.trust import PATH, Untrusted, fingerprint_of, learn
from production_server.local.rabbitmq import free_port
from production_server.proxy.certificates import Certificate, own


@dataclass
class Server:
    """Shows an authority, and proves itself with a certificate that may be of another."""

    port: int
    certificate: Certificate
    shown: bytes

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.shown.decode())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    # Not the name that clients use: they know the server by its authority alone.
    certificate = own(_new(tmp_path / "server"), ["stackserve.example.org"])
    assert certificate.authority is not None
    state = Server(0, certificate, certificate.authority.read_bytes())

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path in (PATH, "/alive") and state.shown
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b'{"code_hash": "x"}' if self.path == "/alive" else state.shown)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    state.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_the_announced_authority_is_saved_and_trusted(server: Server, tmp_path: Path) -> None:
    file = learn(tmp_path / "kept" / "one.pem", "127.0.0.1", server.port, server.fingerprint)
    assert file.read_bytes() == server.shown
    service = Service("127.0.0.1", server.port, tls=True)
    service.trust(file)
    assert service.get_json("/alive") == {"code_hash": "x"}


def test_a_saved_authority_needs_no_question(tmp_path: Path, server: Server) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(server.shown)
    assert learn(file, "127.0.0.1", free_port(), server.fingerprint) == file


def test_another_authority_is_refused_and_not_saved(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "one.pem"
    with pytest.raises(Untrusted, match="its console announced 0000"):
        learn(file, "127.0.0.1", server.port, "0" * 64)
    assert not file.exists()


def test_whoever_shows_the_authority_without_its_certificate_is_refused(
    server: Server, tmp_path: Path
) -> None:
    """The authority is public. Only the server has a certificate of it."""
    real = own(_new(tmp_path / "real"), ["stackserve.example.org"]).authority
    assert real is not None
    server.shown = real.read_bytes()
    file = learn(tmp_path / "one.pem", "127.0.0.1", server.port, server.fingerprint)
    service = Service("127.0.0.1", server.port, tls=True)
    service.trust(file)
    assert service.probe().summary.endswith("shows a certificate that its authority did not sign")
    assert service.get_json("/alive") is None


def test_nothing_is_sent_before_the_authority_is_known(server: Server) -> None:
    service = Service("127.0.0.1", server.port, tls=True)
    assert not service.probe().ok
    assert service.get_json("/alive") is None
    assert service.not_ready() == {}


def test_authorities_of_the_system_do_not_count(server: Server, tmp_path: Path) -> None:
    file = learn(tmp_path / "one.pem", "127.0.0.1", server.port, server.fingerprint)
    service = Service("127.0.0.1", server.port, tls=True)
    service.trust(file)
    pool = service.session.get_adapter("https://x").poolmanager
    assert service.session.verify == str(file)
    service.get_json("/alive")
    (connected,) = [pool.pools[key] for key in pool.pools.keys()]  # noqa: SIM118
    assert connected.ca_certs == str(file)


@pytest.mark.parametrize("shown", [b"", b"no certificate", b"\xff\xfe"])
def test_what_is_no_authority_is_refused(server: Server, tmp_path: Path, shown: bytes) -> None:
    server.shown = shown
    with pytest.raises(Untrusted):
        learn(tmp_path / "one.pem", "127.0.0.1", server.port, "0" * 64)


def test_a_server_that_is_not_there_is_no_attack(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        learn(tmp_path / "one.pem", "127.0.0.1", free_port(), "0" * 64)


def test_one_certificate_alone_is_accepted_whoever_signed_it(server: Server) -> None:
    service = Service("127.0.0.1", server.port, tls=True)
    service.pin(certificate_of(server))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert service.get_json("/alive") == {"code_hash": "x"}


def test_any_other_certificate_is_refused_even_of_the_same_authority(
    server: Server, tmp_path: Path
) -> None:
    service = Service("127.0.0.1", server.port, tls=True)
    for fingerprint in (server.fingerprint, "0" * 64):
        service.pin(fingerprint)
        assert service.get_json("/alive") is None
        assert service.page("/alive").summary.endswith(
            "shows another certificate than the one that was delivered to it"
        )


def certificate_of(server: Server) -> str:
    """The fingerprint of the server's own certificate, which is the first in its file."""
    return fingerprint_of(server.certificate.certificate.read_text().split(END)[0] + END)


END = "-----END CERTIFICATE-----\n"


def test_without_tls_nothing_has_to_be_trusted() -> None:
    service = Service("127.0.0.1", free_port())
    with pytest.raises(requests.ConnectionError):
        service._get("/alive")
