"""Requests under another host name are refused, on /predict and on every other route."""

from __future__ import annotations

import http.client
import json

import pytest
from flask import Flask

from production_server.errors import SettingsError
from production_server.settings import Settings, load_settings
from production_server.web.front import Front
from production_server.web.hosts import ANY_HOST, name_of, trusted_hosts
from tests.unit.production_server.web.fronts import Exchange, make_front, serving

NAMES = "predict.example.org, .course.example.org, 192.0.2.7, 2001:db8::1"


def front(names: str = NAMES) -> Front:
    flask = Flask("rest")
    for path in ("/models", "/jobs", *ANY_HOST):
        flask.add_url_rule(path, path, lambda: "fine", methods=["GET", "POST"])
    return make_front(flask, trusted_hosts=names)


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("predict.example.org", True),
        ("predict.example.org:5100", True),
        ("PREDICT.Example.Org.:80", True),
        ("course.example.org", True),
        ("a.b.course.example.org:5100", True),
        ("192.0.2.7:5100", True),
        ("[2001:db8::1]", True),
        ("[2001:db8::1]:5100", True),
        ("evil.example", False),
        ("predict.example.org.evil.example", False),
        ("evilcourse.example.org", False),
        ("192.0.2.70", False),
        ("predict.example.org@evil.example", False),
        ("predict.example.org:5100:80", False),
        ("2001:db8::1", False),
        ("", False),
    ],
)
def test_which_hosts_are_trusted(host: str, trusted: bool) -> None:
    for method, path in (("GET", "/models"), ("POST", "/jobs"), ("DELETE", "/predict")):
        exchange = Exchange(method, path, host=host)
        exchange.send(front())
        refused = exchange.status == 400 and json.loads(exchange.body)["code"] == "untrusted_host"
        assert refused is not trusted


def test_no_host_and_two_hosts_are_refused() -> None:
    missing = Exchange("GET", "/models")
    missing.scope["headers"] = []
    missing.send(front())
    two = Exchange("GET", "/models", host="predict.example.org")
    two.scope["headers"] = [*two.scope["headers"] * 2]
    two.send(front())
    assert (missing.status, two.status) == (400, 400)


@pytest.mark.parametrize("path", ["/predict", "/models"])
def test_the_refusal_over_a_real_connection(path: str) -> None:
    with serving(front()) as port:
        for host, status in (("evil.example", 400), ("predict.example.org", None)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            if status is None:
                assert b"untrusted_host" not in body
                continue
            assert answer.status == status
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = json.loads(body)
            assert "'evil.example'" in problem["detail"]
            assert "STACKSERVE_TRUSTED_HOSTS" in problem["remedy"]


def test_probes_may_use_any_host() -> None:
    for path in sorted(ANY_HOST):
        exchange = Exchange("GET", path, host="203.0.113.5:5100")
        exchange.send(front())
        assert exchange.status == 200, path


def test_a_server_for_others_trusts_any_host_by_default() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.7", "predict.example.org"):
        exchange = Exchange("GET", "/models", host="anything.example")
        exchange.send(make_front(Flask("rest"), host=host))
        assert exchange.status == 404, host
    assert not trusted_hosts(Settings(host="0.0.0.0"))


def test_the_setting_is_checked_and_survives_the_environment() -> None:
    settings = load_settings(trusted_hosts=" Bücher.Example ,[2001:DB8:0::1], .a.example,")
    assert settings.trusted_hosts == "xn--bcher-kva.example,[2001:db8::1],.a.example"
    again = settings.environment()["STACKSERVE_TRUSTED_HOSTS"]
    assert load_settings(trusted_hosts=again).trusted_hosts == settings.trusted_hosts
    for wrong in ("http://a.example", "a.example:5100", "a b", "*", "."):
        with pytest.raises(SettingsError, match="STACKSERVE_TRUSTED_HOSTS"):
            load_settings(trusted_hosts=wrong)


def test_the_port_is_ignored() -> None:
    assert name_of(b"A.example:") == "a.example"
    assert name_of(b"\xff") == "\xff"
