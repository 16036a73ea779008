"""TLS in front of the service: the real nginx and service, clients that know its authority."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest

from openstack_client.oidc import CALLBACK
from production_server.proxy import certificates, nginx
from production_server.web.events import EVENTS
from tests.support.identity_provider import AUDIENCE, identity_provider
from tests.support.rows import distinct_rows, keras_predictions, shipped
from tests.support.service import ROOT, Service, operator

pytestmark = pytest.mark.timeout(180)


class Secure(Service):
    """The service with TLS, and what a client must know."""

    def __init__(self, folder: Path, tls: str = "self", **options: dict[str, str]) -> None:
        super().__init__(folder, "--tls", tls, **options)
        self.url = f"https://127.0.0.1:{self.port}"
        self.authority = self.home / "tls" / "authority.pem"

    def wait_ready(self, timeout: float = 120) -> None:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                with self.client() as client:
                    if client.get("/ready").status_code == 200:
                        return
            except (httpx.HTTPError, OSError):
                pass
            time.sleep(0.2)
        raise AssertionError(self.logs())

    def client(self, **options: object) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority))
        return httpx.Client(base_url=self.url, verify=context, timeout=30, **options)  # type: ignore[arg-type]

    def raw(self, *parts: bytes) -> bytes:
        """Send bytes over TLS, and return everything until the server closes.

        It may close before it has got everything, and its answer may then be lost: ask again.
        """
        for _ in range(5):
            with suppress(OSError):
                if said := self.once(*parts):
                    return said
        return b""

    def once(self, *parts: bytes) -> bytes:
        context = ssl.create_default_context(cafile=str(self.authority))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            with suppress(OSError):
                for part in parts:
                    secure.sendall(part)
            answer = b""
            while block := secure.recv(65536):
                answer += block
            return answer


@pytest.fixture(scope="module")
def service(
    needs: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secure]:
    needs(Path(nginx.PROGRAM).exists(), "nginx is missing: apt-get install nginx-light")
    with Secure(tmp_path_factory.mktemp("tls"), settings={"STACKSERVE_ACCESS": "open"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Secure) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def test_predictions_are_those_of_keras(client: httpx.Client) -> None:
    registry, card = shipped()
    rows = distinct_rows(card, 20)
    answer = client.post("/predict", json=rows).json()
    got = [one["probability"] for one in answer["predictions"]]
    assert got == pytest.approx(keras_predictions(registry, card, rows)[:, 0].tolist(), abs=1e-5)


def test_a_client_that_knows_nothing_refuses(service: Secure) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{service.url}/ping")


def test_the_output_names_the_authority_and_the_page(service: Secure) -> None:
    said = service.output.read_text()
    assert str(service.authority) in said
    assert certificates.fingerprint(service.authority) in said
    assert f"Ready: {service.url}/predictions" in said


def test_anybody_can_fetch_the_authority(service: Secure, client: httpx.Client) -> None:
    assert client.get(nginx.AUTHORITY_PATH).content == service.authority.read_bytes()


def test_events_pass_the_proxy_one_by_one(service: Secure, client: httpx.Client) -> None:
    """They would come in blocks of several kilobytes if nginx kept them."""
    with client.stream("GET", EVENTS, headers=operator(service.home)) as answer:
        assert answer.status_code == 200
        came = [time.monotonic() for _, _ in zip(range(12), answer.iter_lines(), strict=False)]
    assert came[-1] - came[0] > 1.5, "all at once"


def test_http_to_the_same_port_leads_to_https(service: Secure) -> None:
    answer = httpx.get(f"http://127.0.0.1:{service.port}/predictions?a=1")
    assert (answer.status_code, answer.headers["location"]) == (
        308,
        f"{service.url}/predictions?a=1",
    )


def test_browsers_may_use_http_2(service: Secure) -> None:
    context = ssl.create_default_context(cafile=str(service.authority))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", service.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(service: Secure, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=str(service.authority))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = version
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("127.0.0.1", service.port)) as plain,
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_cookies_are_for_https_alone(client: httpx.Client) -> None:
    card = shipped()[1]
    row = {feature.name: feature.default for feature in card.features}
    made = client.post("/jobs", json=[row])
    assert made.status_code == 202
    (cookie,) = made.headers.get_list("set-cookie")
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}


@pytest.mark.parametrize(("scheme", "status"), [("https", 202), ("http", 403)])
def test_a_page_that_came_without_tls_may_change_nothing(
    service: Secure, client: httpx.Client, scheme: str, status: int
) -> None:
    row = {feature.name: feature.default for feature in shipped()[1].features}
    origin = f"{scheme}://127.0.0.1:{service.port}"
    assert client.post("/jobs", json=[row], headers={"Origin": origin}).status_code == status


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(SMUGGLED),
    "a signed length": b"Content-Length: +0\r\n",
    "a length in hex": b"Content-Length: 0x0\r\n",
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n",
    "a second encoding": b"Transfer-Encoding: chunked, identity\r\n",
    "a tab before the encoding": b"Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n",
    "a space in the name": b"Transfer-Encoding : chunked\r\n",
    "a folded line": b"Content-Length: 0\r\n Transfer-Encoding: chunked\r\n",
    "a bare line feed": b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    "a null byte": b"Content-Length: 0\x00\r\n",
}


@pytest.mark.parametrize("ambiguous", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_no_request_can_be_smuggled(service: Secure, ambiguous: bytes) -> None:
    """Proxy and web tier never disagree about where a request ends.

    A smuggled request would be answered, or wait for the next client of the same connection.
    """
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    said = service.raw(head + ambiguous + b"Connection: close\r\n\r\n", b"0\r\n\r\n" + SMUGGLED)
    assert said.count(b"HTTP/1.1 ") == 1, said
    assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501")), said
    with service.client() as other:
        assert other.get("/ping").text.strip() == "pong"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /predict?" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 80_000 + b"\r\n\r\n", b"400"),
        (b"GET /ping HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_malformed_heads_are_refused(service: Secure, head: bytes, status: bytes) -> None:
    assert service.raw(head).startswith(b"HTTP/1.1 " + status)


def test_slow_headers_are_ended(service: Secure) -> None:
    began = time.monotonic()
    service.once(b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    assert 5 < time.monotonic() - began < 19


def test_a_killed_proxy_comes_back(service: Secure) -> None:
    (running,) = [
        child
        for child in psutil.Process(service.process.pid).children(recursive=True)  # type: ignore[union-attr]
        if "master process" in " ".join(child.cmdline())
    ]
    workers = running.children()
    assert workers
    running.kill()
    psutil.wait_procs(workers, 10)
    assert not [worker for worker in workers if worker.is_running()]
    service.wait_ready(30)


def test_a_certificate_of_ones_own(tmp_path: Path, service: Secure) -> None:
    folder = tmp_path / "certificate"
    folder.mkdir()
    made = certificates.own(folder, ["localhost", "127.0.0.1"])
    assert made.authority is not None
    given = Secure(tmp_path / "given", f"{made.certificate},{made.key}")
    given.authority = made.authority
    with given, given.client() as client:
        assert client.get("/ping").status_code == 200
        assert client.get(nginx.AUTHORITY_PATH).status_code == 404


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ("mine", "must be 'self', 'acme', or two files: CERTIFICATE,KEY"),
        ("/no/cert.pem,/no/key.pem", "cannot use /no/cert.pem with /no/key.pem: No such file"),
    ],
)
def test_mistakes_are_explained_before_anything_starts(tmp_path: Path, tls: str, said: str) -> None:
    command = [sys.executable, "-m", "production_server", "serve", "--tls", tls]
    environment = {"PATH": "/usr/bin:/bin", "STACKSERVE_HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, service: Secure) -> None:
    with Secure(tmp_path / "short") as short:
        assert short.process is not None
        children = psutil.Process(short.process.pid).children(recursive=True)
        assert any("nginx" in child.name() for child in children)
        assert short.stop() == 0
    assert not [child for child in children if child.is_running()]


def test_a_provider_sends_people_back_over_tls(
    needs: Callable[[object, str], None], tmp_path: Path
) -> None:
    """On a server, the address has no port, as `deploy` prints it."""
    needs(Path(nginx.PROGRAM).exists(), "nginx is missing: apt-get install nginx-light")
    with identity_provider() as provider:
        settings = {
            "STACKSERVE_ACCESS": "oidc",
            "STACKSERVE_OIDC_ISSUER": provider.issuer,
            "STACKSERVE_OIDC_AUDIENCE": AUDIENCE,
            "STACKSERVE_OIDC_CLIENT": "pages",
            "STACKSERVE_TRUSTED_HOSTS": "127.0.0.1,203.0.113.7",
        }
        with Secure(tmp_path, settings=settings) as guarded, guarded.client() as browser:
            for host, base in ((None, guarded.url), ("203.0.113.7", "https://203.0.113.7")):
                sent = browser.get("/sign-in/provider", headers={"Host": host} if host else {})
                assert sent.status_code == 303, sent.text
                asked = parse_qs(urlsplit(sent.headers["Location"]).query)
                assert asked["redirect_uri"] == [f"{base}{CALLBACK}"]
                assert "Secure" in sent.headers["Set-Cookie"]
