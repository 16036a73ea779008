"""DNS rebinding: a page of another site whose name points to this machine reads nothing here."""

from __future__ import annotations

import http.client

import pytest

from production_server.access.policy import ROUTES
from production_server.settings import Settings
from production_server.web.hosts import ANY_HOST, trusted_hosts
from tests.unit.production_server.web.fronts import Exchange, serving
from tests.unit.production_server.web.sites import Site

HERE = (
    *("localhost", "localhost:5100", "LocalHost.:5100", "app.localhost:5100"),
    *("127.0.0.1", "127.0.0.1:5100", "[::1]:5100"),
)
ELSEWHERE = (
    *("evil.example", "evil.example:5100", "127.0.0.1.evil.example", "localhost.evil.example"),
    *("evillocalhost", "evil.example@localhost", "0.0.0.0", "192.0.2.7", "::1", ""),
)


def ask(site: Site, method: str, route: str, host: str, caller: str) -> Exchange:
    path = route.replace("<job_id>", "0" * 32).replace("<path:filename>", "style.css")
    headers = {name.lower(): value for name, value in site.tokens[caller].items()}
    exchange = Exchange(method, path, host=host, **headers)
    exchange.send(site.front, b"{}")
    return exchange


def is_refused(exchange: Exchange) -> bool:
    refused = exchange.status == 400 and b'"untrusted_host"' in exchange.body
    assert not refused or not exchange.headers.get("set-cookie")
    return refused


def test_every_route_refuses_other_names_whoever_asks(site: Site) -> None:
    """Also with a valid token or cookie, which a browser may send by itself."""
    for method, route in ROUTES:
        for caller in ("anonymous", "operate", "another client"):
            assert is_refused(ask(site, method, route, "evil.example", caller)), (method, route)


def test_every_route_answers_to_this_machines_names(site: Site) -> None:
    for method, route in ROUTES:
        assert not is_refused(ask(site, method, route, "localhost:5100", "operate"))


@pytest.mark.parametrize("host", HERE)
def test_names_of_this_machine(open_site: Site, host: str) -> None:
    assert not is_refused(ask(open_site, "GET", "/ping", host, "anonymous"))
    assert ask(open_site, "POST", "/predict", host, "anonymous").status == 422


@pytest.mark.parametrize("host", ELSEWHERE)
def test_names_of_others(open_site: Site, host: str) -> None:
    for path in ("/ping", "/predict", "/nothing"):
        assert is_refused(ask(open_site, "POST", path, host, "anonymous"))


def test_an_address_in_the_request_line_does_not_count(open_site: Site) -> None:
    """A proxy's form of a request (RFC 9112, 3.2.2), over a real connection."""
    with serving(open_site.front) as port:
        for target, host, refused in (
            (f"http://127.0.0.1:{port}/ping", "evil.example", True),
            ("/ping", "evil.example", True),
            ("/ping", f"127.0.0.1:{port}", False),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", target, headers={"Host": host})
            body = connection.getresponse().read()
            connection.close()
            assert (b"untrusted_host" in body) is refused, target


@pytest.mark.parametrize(
    ("listens", "host", "trusted"),
    [
        ("127.0.0.1", "localhost", True),
        ("127.0.0.2", "127.0.0.2:5100", True),
        ("localhost", "127.0.0.1", True),
        ("my.localhost", "my.localhost", True),
        ("::1", "[::1]:5100", True),
        ("0:0:0:0:0:0:0:1", "[::1]", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "evil.example", False),
    ],
)
def test_where_it_listens_decides(listens: str, host: str, trusted: bool) -> None:
    hosts = trusted_hosts(Settings(host=listens))
    assert bool(hosts) and hosts._look_up(host.encode()) is trusted


def test_behind_our_proxy_it_matters_where_that_listens() -> None:
    assert not trusted_hosts(Settings(host="127.0.0.1", tls="self"))
    hosts = trusted_hosts(Settings(host="127.0.0.1", tls="self", tls_host="127.0.0.1"))
    assert hosts._look_up(b"localhost:443") and not hosts._look_up(b"evil.example")


def test_names_in_the_settings_replace_those_of_this_machine() -> None:
    hosts = trusted_hosts(Settings(host="127.0.0.1", trusted_hosts="predict.example.org"))
    assert hosts._look_up(b"predict.example.org") and not hosts._look_up(b"localhost")
    assert hosts._anyhow == ANY_HOST
