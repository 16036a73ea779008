"""receive.py on the VM and `deliver` on the client, over a real connection."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from openstack_client.errors import ContextualizationError
from openstack_client.userdata import Delivery, deliver
from tests.support.guest import free_ports
from tests.unit.cloud_init.receiver import PAYLOAD, Receiver


def test_the_code_arrives_unchanged(receiver: Callable[[], Receiver]) -> None:
    vm = receiver()
    assert vm.deliver(PAYLOAD) is Delivery.DELIVERED
    assert vm.written() == PAYLOAD


def test_other_code_is_refused_and_the_right_code_still_accepted(
    receiver: Callable[[], Receiver],
) -> None:
    vm = receiver()
    with pytest.raises(ContextualizationError, match="expects different code"):
        vm.deliver(PAYLOAD + b"changed")
    assert vm.deliver(PAYLOAD) is Delivery.DELIVERED


def test_the_right_name_with_wrong_content_is_refused(receiver: Callable[[], Receiver]) -> None:
    vm = receiver()
    path = f"/stackserve-payload/{hashlib.sha256(PAYLOAD).hexdigest()}"
    assert vm.ask("PUT", path, bytes(len(PAYLOAD)))[0] == 400
    assert vm.ask("PUT", path, b"short")[0] == 409
    assert vm.waits()
    assert vm.deliver(PAYLOAD) is Delivery.DELIVERED


def test_other_requests_get_a_503(
    receiver: Callable[[], Receiver],
) -> None:
    vm = receiver()
    for method, path in (("GET", "/predictions"), ("POST", "/predict"), ("PUT", "/other")):
        status, said = vm.ask(method, path)
        assert (status, "server" in said) == (503, True)
    assert vm.waits()


def test_a_slow_client_does_not_block_the_launcher(
    receiver: Callable[[], Receiver],
) -> None:
    vm = receiver()
    client = http.client.HTTPConnection("127.0.0.1", vm.port)
    client.connect()
    client.send(b"PUT /stackserve-payload/")
    assert vm.deliver(PAYLOAD) is Delivery.DELIVERED
    client.close()
    assert vm.written() == PAYLOAD


def test_no_server_yet() -> None:
    assert deliver("127.0.0.1", free_ports(1)[0], PAYLOAD) is Delivery.NOT_YET


@contextmanager
def service(status: int) -> Iterator[int]:
    class Service(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(status)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "result"),
    [(404, Delivery.NOT_WANTED), (405, Delivery.NOT_WANTED), (503, Delivery.NOT_YET)],
)
def test_a_running_service_needs_no_code(status: int, result: Delivery) -> None:
    with service(status) as port:
        assert deliver("127.0.0.1", port, PAYLOAD) is result
