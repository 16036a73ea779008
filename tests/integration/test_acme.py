"""A certificate by ACME, from Debian's Pebble: the real protocol, and renewal while it serves."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from openstack_client.watch.probe import Service
from openstack_client.watch.shown import validity
from openstack_client.watch.trust import fingerprint_of, learn
from openstack_client.watch.tunnel import Way
from production_server.local.rabbitmq import free_port
from production_server.proxy import certificates
from tests.support.service import ROOT

pytestmark = pytest.mark.timeout(120)
DOMAIN = "clinic.example"
PROGRAMS = ("nginx-light", "dehydrated", "pebble")


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Authority:
    """A Pebble that finds every name on this machine."""

    directory: str
    management: str
    ca: Path
    challenge_port: int

    def root(self) -> str:
        """The certificate that its own certificates lead to."""
        context = ssl.create_default_context(cafile=str(self.ca))
        until_it_listens = httpx.HTTPTransport(verify=context, retries=7)
        with httpx.Client(transport=until_it_listens) as client:
            return client.get(f"{self.management}/roots/0").text


@pytest.fixture(scope="module")
def authority(
    needs: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Authority]:
    there = all(Path(path).exists() for path in ("/usr/sbin/nginx", "/usr/bin/pebble"))
    needs(there and Path("/usr/bin/dehydrated").exists(), f"apt-get install {' '.join(PROGRAMS)}")
    folder = tmp_path_factory.mktemp("pebble")
    own = certificates.own(folder, ["localhost", "127.0.0.1"])
    assert own.authority is not None
    api, management, challenge, dns = (free_port() for _ in range(4))
    configuration = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(own.certificate),
        "privateKey": str(own.key),
        "httpPort": challenge,
        "tlsPort": free_port(),
    }
    (folder / "config.json").write_text(json.dumps({"pebble": configuration}))
    names = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]
    names += ["-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{free_port()}"]
    names += ["-http01", "", "-https01", "", "-tlsalpn01", ""]
    pebble = ["pebble", "-config", str(folder / "config.json"), "-dnsserver", f"127.0.0.1:{dns}"]
    started = Authority(
        f"https://localhost:{api}/dir", f"https://127.0.0.1:{management}", own.authority, challenge
    )
    with (
        running(names, folder / "names.log"),
        running(pebble, folder / "pebble.log", PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0"),
    ):
        yield started


@dataclass
class Proxy:
    port: int
    log: Path
    folder: Path
    process: subprocess.Popen[bytes]

    def serial(self, root: str) -> int:
        """The serial number of the certificate that it shows, if the root vouches for it."""
        context = ssl.create_default_context(cadata=root)
        plain = socket.create_connection(("127.0.0.1", self.port), 5)
        with plain, context.wrap_socket(plain, server_hostname=DOMAIN) as secure:
            shown = secure.getpeercert()
            assert shown is not None
            return int(str(shown["serialNumber"]), 16)

    @property
    def way(self) -> Way:
        return Way("127.0.0.1", self.port)

    def is_known_by_its_own(self) -> bool:
        """Whether the launcher trusts it as it does with --tls self. There is no web tier."""
        service = Service("127.0.0.1", self.port, tls=True)
        own = self.folder / "authority.pem"
        announced = fingerprint_of(own.read_text())
        service.trust(learn(self.folder / "learned.pem", "127.0.0.1", self.port, announced))
        return "answers HTTP 503" in service.page("/ready").summary

    def wait_for_a_new_one(self, root: str, before: int | None = None) -> int:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if (found := self.serial(root)) != before:
                    return found
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError(self.log.read_text())


@contextmanager
def proxy(folder: Path, authority: Authority, **changes: str) -> Iterator[Proxy]:
    port = free_port()
    settings = {
        "STACKSERVE_HOME": str(folder / "home"),
        "STACKSERVE_PORT": str(free_port()),
        "STACKSERVE_TLS": "acme",
        "STACKSERVE_TLS_HOST": "127.0.0.1",
        "STACKSERVE_TLS_PORT": str(port),
        "STACKSERVE_TLS_DOMAIN": DOMAIN,
        "STACKSERVE_TLS_ACME_SERVER": authority.directory,
        "STACKSERVE_TLS_ACME_CA": str(authority.ca),
        "STACKSERVE_TLS_CHALLENGE_PORT": str(authority.challenge_port),
    }
    log = folder / "proxy.log"
    command = [sys.executable, "-m", "production_server", "proxy"]
    with running(command, log, **{**settings, **changes}) as process:
        yield Proxy(port, log, folder / "home" / "tls", process)


def test_the_authority_issues_a_certificate_and_a_new_one_while_it_serves(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(tmp_path, authority) as served:
        first = served.wait_for_a_new_one(authority.root())
        says_what_clients_see(served, authority.root(), monkeypatch, tmp_path)
        key = served.folder / "acme" / "certs" / DOMAIN / "privkey.pem"
        assert key.resolve().stat().st_mode & 0o077 == 0
        # As if it were nearly over.
        (served.folder / "acme" / "certs" / DOMAIN / "cert.pem").unlink()
        served.process.send_signal(signal.SIGHUP)
        served.wait_for_a_new_one(authority.root(), first)
        redirected = httpx.get(f"http://127.0.0.1:{authority.challenge_port}/predictions")
        assert redirected.status_code == 308
    assert served.process.returncode == 0
    assert "Traceback" not in served.log.read_text()
    # After a restart it has one at once, and asks for no other.
    asked = served.log.read_text().count("new certificate for")
    with proxy(tmp_path, authority) as again:
        again.wait_for_a_new_one(authority.root())
        time.sleep(3)
    assert again.log.read_text().count("new certificate for") == asked


def says_what_clients_see(
    served: Proxy, root: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """By the name, that of the authority; by an address, that of its own, which the launcher knows.

    So a launcher need not know when the authority issues it.
    """
    seen = validity(served.way, DOMAIN)
    assert seen is not None and seen.issued
    assert f"for {DOMAIN}, of Pebble" in seen.sentence
    assert ", which this machine does not know; valid until 20" in seen.sentence
    (folder / "root.pem").write_text(root)
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(folder / "root.pem"))
        accepted = validity(served.way, DOMAIN)
    assert accepted is not None and "does not know" not in accepted.sentence
    assert served.is_known_by_its_own()


def test_a_refusal_is_explained_and_the_proxy_goes_on(authority: Authority, tmp_path: Path) -> None:
    closed = {"STACKSERVE_TLS_CHALLENGE_PORT": str(free_port())}
    with proxy(tmp_path, authority, **closed) as served:
        until = time.monotonic() + 60
        while "next attempt in" not in served.log.read_text() and time.monotonic() < until:
            time.sleep(0.2)
        assert f"no certificate for {DOMAIN}" in served.log.read_text()
        assert "next attempt in 60 s" in served.log.read_text()
        assert served.process.poll() is None
        with pytest.raises(ssl.SSLCertVerificationError):
            served.serial(authority.root())
        seen = validity(served.way, DOMAIN)
        assert seen is not None and not seen.issued
        assert seen.sentence == f"not issued for {DOMAIN} yet"
        assert served.is_known_by_its_own()


def test_acme_without_a_domain_is_explained(tmp_path: Path) -> None:
    settings = {"STACKSERVE_HOME": str(tmp_path), "STACKSERVE_TLS": "acme"}
    command = [sys.executable, "-m", "production_server", "proxy"]
    with running(command, tmp_path / "log", **settings) as process:
        assert process.wait(30) == 1
    said = (tmp_path / "log").read_text()
    assert "STACKSERVE_TLS=acme needs STACKSERVE_TLS_DOMAIN" in said
