"""One server with RabbitMQ over TLS for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from production_server.local import rabbitmq
from production_server.remote.access import Ticket
from tests.support.tls_broker import TlsNode
from tests.support.worker_vm import Front


@pytest.fixture(scope="package")
def front(
    needs: Callable[[object, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    needs(rabbitmq.installed(), "RabbitMQ is not installed: apt-get install rabbitmq-server")
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.stop()


@pytest.fixture(scope="package")
def node(front: Front) -> TlsNode:
    return front.node


@pytest.fixture(scope="package")
def ticket(front: Front) -> Ticket:
    """The ticket of a worker VM that is never started."""
    return front.add("w0")
