"""TLS to the broker: its certificate and its name are always verified."""

from __future__ import annotations

import ssl

import pytest

from production_server.messaging.tls import tls_options
from production_server.settings import load_settings


@pytest.mark.parametrize("url", ["memory://", "amqp://u:p@127.0.0.1:5672/stackserve"])
def test_none_on_the_servers_own_loopback(url: str) -> None:
    assert tls_options(load_settings(broker_url=url)) is None


@pytest.mark.parametrize(
    ("url", "given", "name"),
    [
        ("amqps://u:p@10.0.0.3:5671/x", {"broker_name": "stackserve-broker"}, "stackserve-broker"),
        ("amqps://u:p@broker.example:5671/x", {}, "broker.example"),
        ("amqps://u:p@[fd00::3]:5671/x", {}, "fd00::3"),
    ],
)
def test_the_name_is_always_verified(url: str, given: dict[str, str], name: str) -> None:
    options = tls_options(load_settings(broker_url=url, **given))
    assert options is not None
    assert options["server_hostname"] == name
    assert options["cert_reqs"] is ssl.CERT_REQUIRED
