"""The program that removes an expired deployment, against an HTTP server that records requests."""

from __future__ import annotations

import datetime as dt
import email.utils
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from openstack_client import lifetime
from openstack_client.places import TEMPLATES
from openstack_client.plan.inventory import EXPIRES_KEY

PROGRAM = TEMPLATES / "removal" / "remove.py"
SECRET = "never-shown"
GET_SELF = "GET /v2.1/servers/s1"
LOGIN = "POST /v3/auth/tokens"
MARKED = "stackserve deployment course run 00ff expiring"
REMOVAL = [
    "PUT /v2.0/floatingips/a1",
    "PUT /v2.0/ports/p1",
    "DELETE /v2.1/servers/s2",
    "GET /v2.1/servers/s2",
    "DELETE /v2.0/ports/p2",
    "DELETE /v2.1/os-server-groups/sg1",
    "DELETE /v2.1/os-keypairs/pair",
    "DELETE /v2.0/security-groups/g1",
]
LAST = {"DELETE /v2.1/servers/s1", "DELETE /v2.0/ports/p1", "DELETE /v2.0/floatingips/a1"}


@dataclass
class FakeCloud:
    """Answers every request, and remembers it. `answers` are statuses for the next ones."""

    url: str = ""
    server: ThreadingHTTPServer | None = None
    expires: str = ""
    date: dt.datetime | None = None
    answers: dict[str, list[int]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    bodies: dict[str, Any] = field(default_factory=dict)

    def answer(self, request: str) -> tuple[int, Any]:
        self.requests.append(request)
        status = next(iter(self.answers.get(request, [])), 200)
        self.answers[request] = self.answers.get(request, [])[1:]
        metadata = {EXPIRES_KEY: self.expires} if self.expires else {}
        return status, {"server": {"metadata": metadata}} if status == 200 else {}

    @property
    def config(self) -> dict[str, Any]:
        mark = {"mark": MARKED}
        return {
            "identity": f"{self.url}/v3",
            "compute": f"{self.url}/v2.1",
            "network": f"{self.url}/v2.0",
            "id": "c1",
            "secret": SECRET,
            "verify": True,
            "ca": None,
            "server": "s1",
            "others": ["s2"],
            "other_ports": ["p2"],
            "ports": [{"id": "p1", **mark}],
            "addresses": [{"id": "a1", **mark}],
            "groups": ["g1"],
            "left": [],
            "server_groups": ["sg1"],
            "shelter": "default",
            "keypairs": ["pair"],
        }


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    fake = FakeCloud()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = f"{self.command} {self.path}"
            fake.bodies[request] = json.loads(self.rfile.read(length) or "null")
            status, content = fake.answer(request)
            self.send_response_only(status)
            self.send_header("X-Subject-Token", "token")
            if fake.date:
                self.send_header("Date", email.utils.format_datetime(fake.date, usegmt=True))
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_GET = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.server, fake.url = server, f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def authority(cloud: FakeCloud, tmp_path: Path) -> str:
    """Let the cloud use TLS; the certificate that its clients must trust."""
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    assert cloud.server is not None
    cloud.server.socket = context.wrap_socket(cloud.server.socket, server_side=True)
    cloud.url = cloud.url.replace("http:", "https:")
    return certificate.read_text()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cloud")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = lifetime.now()
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@pytest.fixture
def run(cloud: FakeCloud, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(**changes: Any) -> subprocess.CompletedProcess[str]:
        (tmp_path / "removal.json").write_text(json.dumps({**cloud.config, **changes}))
        return subprocess.run(
            [sys.executable, "-I", str(PROGRAM)],
            env={"CREDENTIALS_DIRECTORY": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def moment(minutes: int) -> str:
    return lifetime.written(lifetime.now() + dt.timedelta(minutes=minutes))


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("expires", ["", "soon", "2999-01-01T00:00:00Z"])
def test_nothing_happens_before(cloud: FakeCloud, run: Run, expires: str) -> None:
    cloud.expires = expires
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert cloud.requests == [LOGIN, GET_SELF]


def test_everything_is_removed_and_the_server_last(cloud: FakeCloud, run: Run) -> None:
    cloud.expires = moment(-1)
    cloud.answers = {"GET /v2.1/servers/s2": [404]}
    done = run()
    assert done.returncode == 0, done.stderr
    assert cloud.requests[:-3] == [LOGIN, GET_SELF, *REMOVAL]
    assert set(cloud.requests[-3:]) == LAST
    change = cloud.bodies["PUT /v2.0/ports/p1"]["port"]
    assert change["security_groups"] == ["default"]
    assert (change["description"], change["device_owner"]) == (MARKED, "")


def test_without_a_shelter_the_group_is_marked(cloud: FakeCloud, run: Run) -> None:
    cloud.expires = moment(-1)
    left = [{"id": "g1", "mark": MARKED}]
    assert run(shelter="", groups=[], left=left, others=[], other_ports=[]).returncode == 0
    assert "PUT /v2.0/security-groups/g1" in cloud.requests
    assert "DELETE /v2.0/security-groups/g1" not in cloud.requests
    assert cloud.bodies["PUT /v2.0/ports/p1"]["port"] == {
        "description": MARKED,
        "device_owner": "",
    }


def test_the_clock_of_the_cloud_counts(cloud: FakeCloud, run: Run) -> None:
    cloud.expires = moment(60)
    cloud.date = lifetime.now() + dt.timedelta(hours=2)
    assert run(others=[], other_ports=[]).returncode == 0
    assert set(cloud.requests[-3:]) == LAST


def test_a_removal_that_stopped_is_continued(cloud: FakeCloud, run: Run) -> None:
    """Everything but the server is gone already."""
    cloud.expires = moment(-1)
    gone = [*REMOVAL, *LAST - {"DELETE /v2.1/servers/s1"}]
    cloud.answers = {request: [404] for request in gone}
    assert run().returncode == 0
    assert set(cloud.requests[-3:]) == LAST


def test_a_server_that_is_gone_removes_nothing(cloud: FakeCloud, run: Run) -> None:
    """`deploy --recreate` deleted it: port and address have another server now."""
    cloud.answers = {GET_SELF: [404]}
    assert run().returncode == 0
    assert cloud.requests == [LOGIN, GET_SELF]


def test_a_group_that_is_still_in_use_is_tried_again(cloud: FakeCloud, run: Run) -> None:
    cloud.expires = moment(-1)
    cloud.answers = {"DELETE /v2.0/security-groups/g1": [409]}
    assert run(others=[], other_ports=[]).returncode == 0
    assert cloud.requests.count("DELETE /v2.0/security-groups/g1") == 2
    assert set(cloud.requests[-3:]) == LAST


@pytest.mark.parametrize("refused", [LOGIN, GET_SELF, "DELETE /v2.1/os-keypairs/pair"])
def test_a_failure_stops_it_until_the_next_run(cloud: FakeCloud, run: Run, refused: str) -> None:
    cloud.expires = moment(-1)
    cloud.answers = {refused: [503]}
    done = run(others=[], other_ports=[])
    assert done.returncode == 1
    assert "HTTP 503" in done.stderr and "Traceback" not in done.stderr
    assert cloud.requests[-1] == refused
    assert SECRET not in done.stdout + done.stderr


def test_a_refused_port_does_not_keep_the_server(cloud: FakeCloud, run: Run) -> None:
    cloud.expires = moment(-1)
    cloud.answers = {"DELETE /v2.0/ports/p1": [500]}
    done = run(others=[], other_ports=[])
    assert (done.returncode, set(cloud.requests[-3:])) == (1, LAST)
    assert "DELETE /ports/p1: HTTP 500" in done.stderr


def test_an_api_that_does_not_answer(cloud: FakeCloud, run: Run) -> None:
    done = run(identity="http://127.0.0.1:1/v3")
    assert done.returncode == 1
    assert "Cannot connect to 127.0.0.1:1" in done.stderr


def test_tls_is_verified_with_the_authority_of_the_cloud(
    cloud: FakeCloud, run: Run, authority: str
) -> None:
    cloud.expires = moment(-1)
    unknown = run(others=[], other_ports=[])
    assert unknown.returncode == 1 and "CERTIFICATE_VERIFY_FAILED" in unknown.stderr
    assert cloud.requests == []
    done = run(others=[], other_ports=[], ca=authority)
    assert done.returncode == 0, done.stderr
    assert set(cloud.requests[-3:]) == LAST
    assert run(others=[], other_ports=[], verify=False).returncode == 0
