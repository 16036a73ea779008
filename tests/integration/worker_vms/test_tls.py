"""Worker VMs reach RabbitMQ over TLS alone, and verify whom they reach."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import amqp
import pytest
from amqp.exceptions import AMQPError

from production_server.local.rabbitmq import free_port
from production_server.messaging.app import create_app
from production_server.remote.access import SERVER_NAME, Ticket
from tests.support.tls_broker import TlsNode, make_certificates
from tests.support.worker_vm import settings_of
from tests.unit.cloud_init.steps import load


def connect(node: TlsNode, ticket: Ticket, **changes: object) -> None:
    app = create_app(settings_of(node, ticket, **changes))
    with app.connection_for_read() as connection:
        connection.connect()
        assert connection.connected


def handshake(node: TlsNode, context: ssl.SSLContext) -> str | None:
    """The version of TLS that the broker agrees to."""
    with (
        socket.create_connection(("127.0.0.1", node.tls_port), 10) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as secured,
    ):
        return secured.version()


def test_the_step_that_joins_tries_the_connection(
    node: TlsNode, ticket: Ticket, tmp_path: Path
) -> None:
    """It fails in its own words if the address, the authority or the name is wrong."""
    join = load("steps/join.py")
    given = ticket._asdict() | {"port": node.tls_port}
    join.try_connection(join.checked(json.dumps(given | {"vhost": "stackserve"})))
    other = (make_certificates(tmp_path / "tls") / "authority.pem").read_text()
    for wrong in ({"port": free_port()}, {"ca": other}, {"server_name": "another"}):
        with pytest.raises(SystemExit, match=r"cannot reach the server's RabbitMQ at 127\.0\.0\.1"):
            join.try_connection(given | wrong)


def context_for(node: TlsNode, version: ssl.TLSVersion, ciphers: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(node.authority))
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def test_a_worker_with_its_ticket_connects(node: TlsNode, ticket: Ticket) -> None:
    connect(node, ticket)


def test_another_authority_is_refused(node: TlsNode, ticket: Ticket, tmp_path: Path) -> None:
    other = make_certificates(tmp_path / "other") / "authority.pem"
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        connect(node, ticket, broker_ca=other)


@pytest.mark.parametrize("name", ["another-broker", ""])
def test_another_name_is_refused(node: TlsNode, ticket: Ticket, name: str) -> None:
    """Without a name, the one in the URL counts, which is 127.0.0.1 here."""
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        connect(node, ticket, broker_name=name)


def test_amqp_without_tls_is_refused(node: TlsNode, ticket: Ticket) -> None:
    address = f"127.0.0.1:{node.tls_port}"
    connection = amqp.Connection(address, ticket.account, ticket.password, connect_timeout=10)
    with pytest.raises((OSError, AMQPError)):
        connection.connect()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_of_tls_are_accepted(node: TlsNode, version: ssl.TLSVersion) -> None:
    assert handshake(node, context_for(node, version)) == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore:.*TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_of_tls_are_refused(node: TlsNode, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        handshake(node, context_for(node, version))


def test_ciphers_without_authentication_of_the_data_are_refused(node: TlsNode) -> None:
    old = context_for(node, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure|insufficient"):
        handshake(node, old)


def test_a_wrong_password_is_refused(node: TlsNode, ticket: Ticket) -> None:
    with pytest.raises(amqp.exceptions.AccessRefused):
        connect(node, ticket._replace(password="wrong"))


def test_guest_is_refused(node: TlsNode, ticket: Ticket) -> None:
    with pytest.raises(amqp.exceptions.AccessRefused):
        connect(node, ticket._replace(account="guest", password="guest"))
