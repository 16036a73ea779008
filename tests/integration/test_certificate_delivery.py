"""How a server gets the certificate of --tls CERT,KEY: real ssh, stackserve-deliver and nginx."""

from __future__ import annotations

import dataclasses
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from openstack_client.cloud.resources import Server
from openstack_client.errors import ContextualizationError, TimedOut
from openstack_client.plan.secured import CERTIFICATE_KEY, KIND_KEY
from openstack_client.roles import TlsKind, ours
from openstack_client.tls import Given, load
from openstack_client.watch.probe import Service
from openstack_client.watch.shown import validity
from openstack_client.watch.tunnel import Way
from openstack_client.watch.wait import ReadyWatch
from production_server.local.rabbitmq import free_port
from production_server.proxy import certificates
from production_server.proxy.nginx import PROGRAM
from tests.integration import test_code_delivery as code
from tests.integration.test_code_delivery import DONE, PAYLOAD, Place
from tests.support.service import ROOT

pytestmark = pytest.mark.timeout(120)
hosts, place = code.hosts, code.place
SECURE = ours("server").with_tls(TlsKind.FILES).watched
BEGUN = "STACKSERVE stage=proxy state=begin t=20.0\n"


def made(folder: Path, *names: str) -> Given:
    """A certificate of an authority that nobody knows, and its key."""
    folder.mkdir()
    own = certificates.own(folder, names or ("clinic.example.org",))
    return load(own.certificate, own.key, datetime.now(UTC))


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return made(tmp_path / "certificate")


@pytest.fixture
def machine(place: Place) -> Place:
    """A server that was created with --tls CERT,KEY, and has its code."""
    settings = place.disk / "settings"
    settings.write_text(settings.read_text() + "TLS=files\nTLS_UNIT=proxy-stackserve\n")
    place.shown = [place.server.on_console + code.BEGUN + DONE + BEGUN]
    return place


def watch(place: Place, given: Given | None, **metadata: str) -> tuple[ReadyWatch, list[object]]:
    """Deliver to the place. Also returns what is noted in the metadata."""
    found = place.watch(watched=SECURE, given=given, authority=place.disk / "authority.pem")
    notes: list[object] = []
    found.cloud.nova.servers.set_meta = lambda *noted: notes.append(noted)
    metadata = {KIND_KEY: "files", **metadata}
    server = Server("s1", "x", "ACTIVE", metadata=metadata)
    found.server = found.console.server = server
    return found, notes


def received(place: Place) -> bytes:
    file = place.disk / "certificate"
    return file.read_bytes() if file.exists() else b""


def test_it_is_sent_over_ssh_for_the_proxy_alone(machine: Place, given: Given) -> None:
    delivered, notes = watch(machine, given)
    delivered.wait_until_delivered(timeout=30)
    assert received(machine) == given.pem
    assert (machine.disk / "certificate").stat().st_mode & 0o777 == 0o640
    assert machine.display.notes == ["Certificate delivered."]
    assert notes == [("s1", {CERTIFICATE_KEY: given.fingerprint})]
    ran = (machine.disk / "ran").read_text().splitlines()
    assert ran == [
        "groupadd --system --force stackserve-tls",
        "systemctl try-reload-or-restart proxy-stackserve",
    ]
    assert (machine.disk / "log").read_text().splitlines() == [
        "/usr/local/sbin/stackserve-deliver certificate"
    ]


def test_code_and_certificate_go_to_a_new_server(machine: Place, given: Given) -> None:
    machine.shown = ["", "booting", machine.server.on_console]
    delivered, _ = watch(machine, given, **{CERTIFICATE_KEY: given.fingerprint})
    delivered.wait_until_delivered(timeout=30)
    assert (machine.received(), received(machine)) == (PAYLOAD, given.pem)
    assert sorted(machine.display.notes) == ["Certificate delivered.", "Code delivered."]


def test_a_newer_one_replaces_it_and_the_same_one_changes_nothing(
    machine: Place, given: Given, tmp_path: Path
) -> None:
    watch(machine, given)[0].wait_until_delivered(timeout=30)
    before = (machine.disk / "certificate").stat().st_ino
    machine.display.notes.clear()
    watch(machine, given)[0].wait_until_delivered(timeout=30)
    assert (machine.disk / "certificate").stat().st_ino == before
    assert machine.display.notes == []
    newer = made(tmp_path / "newer")
    watch(machine, newer)[0].wait_until_delivered(timeout=30)
    assert received(machine) == newer.pem


def test_nothing_is_sent_to_another_machine(machine: Place, given: Given) -> None:
    machine.shown = [machine.gate.on_console + code.BEGUN + DONE + BEGUN]
    with pytest.raises(TimedOut, match="its certificate: Host key verification failed"):
        watch(machine, given)[0].wait_until_delivered(timeout=1)
    machine.known_hosts.unlink()
    machine.shown = [code.BEGUN + DONE + BEGUN]
    with pytest.raises(TimedOut, match="its certificate: the console has not shown") as raised:
        watch(machine, given)[0].wait_until_delivered(timeout=0.5)
    assert "Write it into" in raised.value.remedy
    assert (machine.calls, received(machine)) == (0, b"")


@pytest.mark.parametrize(
    ("settings", "pem", "said"),
    [
        ("TLS=self\n", None, "this machine was not created with --tls CERT,KEY"),
        ("TLS=files\nTLS_UNIT=x\n", b"no certificate", "this is no certificate with its key"),
    ],
)
def test_what_a_server_does_not_take(
    place: Place,
    given: Given,
    settings: str,
    pem: bytes | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openstack_client.watch.delivery.PATIENCE", 0.5)
    (place.disk / "settings").write_text(settings)
    place.shown = [place.server.on_console + code.BEGUN + DONE + BEGUN]
    given = dataclasses.replace(given, pem=pem or given.pem)
    with pytest.raises(ContextualizationError, match=said):
        watch(place, given)[0].wait_until_delivered(timeout=30)
    assert received(place) == b""


def test_a_server_that_waits_for_a_certificate_that_is_elsewhere(machine: Place) -> None:
    with pytest.raises(TimedOut) as raised:
        watch(machine, None)[0].wait_until_ready(timeout=0.5)
    assert "It waits for its certificate: add --tls CERT,KEY." in raised.value.remedy


# A proxy that runs takes a newer one


class Backend(BaseHTTPRequestHandler):
    """The web tier: a slow answer that the certificate is changed under."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.path == "/slow":
            # More than nginx keeps until it has the rest.
            self.wfile.write(b"begun " * 200_000)
            Backend.may_end.wait(60)
        self.wfile.write(b"ended")

    def log_message(self, *_: object) -> None:
        pass

    may_end = threading.Event()


@contextmanager
def backend() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def proxy(place: Place, home: Path) -> Iterator[tuple[Way, subprocess.Popen[bytes]]]:
    """The proxy as its unit starts it, with the certificate that was delivered to the place."""
    file, port = place.disk / "certificate", free_port()
    with backend() as web:
        settings = {
            "STACKSERVE_TLS": f"{file},{file}",
            "STACKSERVE_TLS_HOME": str(home),
            "STACKSERVE_TLS_HOST": "127.0.0.1",
            "STACKSERVE_TLS_PORT": str(port),
            "STACKSERVE_PORT": str(web),
        }
        command = [sys.executable, "-m", "production_server", "proxy"]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings})
        way = Way("127.0.0.1", port)
        way.tls = True
        try:
            wait_for(lambda: validity(way) is not None)
            yield way, process
        finally:
            process.terminate()
            process.wait(20)


def wait_for(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.1)


def pinned(way: Way, given: Given) -> Service:
    service = way.service()
    service.pin(given.fingerprint)
    return service


def test_the_proxy_takes_a_newer_one_without_closing_connections(
    machine: Place, given: Given, tmp_path: Path, needs: Callable[[object, str], None]
) -> None:
    needs(Path(PROGRAM).exists(), "nginx is missing: apt-get install nginx-light")
    watch(machine, given)[0].wait_until_delivered(timeout=30)
    Backend.may_end.clear()
    newer = made(tmp_path / "newer", "192.0.2.1")
    with proxy(machine, tmp_path / "home") as (way, process):
        assert pinned(way, given).page("/").ok
        assert "another certificate" in pinned(way, newer).page("/").summary
        slow = http.client.HTTPSConnection("127.0.0.1", way.port, context=blind(), timeout=30)
        slow.request("GET", "/slow")
        answer = slow.getresponse()
        assert answer.read(6) == b"begun "
        watch(machine, newer)[0].wait_until_delivered(timeout=30)
        # What systemd does for `reload`.
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: pinned(way, newer).page("/").ok)
        # The processes that have the old one take no new connections.
        wait_for(lambda: not pinned(way, given).page("/").ok)
        Backend.may_end.set()
        assert answer.read().endswith(b"begun ended")
    assert process.returncode == 0


def blind() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_closed_port_shows_no_certificate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    assert validity(Way("127.0.0.1", port)) is None
