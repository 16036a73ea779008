"""How each role is asked whether it is ready."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from openstack_client.roles import Ask, Watched, ours
from openstack_client.service import page_url
from openstack_client.watch.console import Mark
from openstack_client.watch.probe import Service
from openstack_client.watch.ready import ask
from openstack_client.watch.status import inspection, units_with_logs

DONE = [Mark("booting", "begin"), Mark("booting", "done"), Mark("page", "done")]
HALF = DONE[:2]


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/": 200, "/moved": 302}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Service("127.0.0.1", server.server_port)
        server.shutdown()


def watched(how: Ask, path: str = "/") -> Watched:
    return Watched(role="mine", ask=how, port=80, path=path, units={}, stages=("booting", "page"))


@pytest.mark.parametrize(
    ("path", "marks", "ok", "words"),
    [
        ("/", DONE, True, "answers HTTP 200"),
        ("/moved", DONE, True, "answers HTTP 302"),
        ("/gone", DONE, False, "answers HTTP 404"),
        # It may still fail.
        ("/", HALF, False, "the step 'page' is not done"),
        # It was rebooted, or the cloud shows no console.
        ("/", [], True, "answers HTTP 200"),
    ],
)
def test_a_page(service: Service, path: str, marks: list[Mark], ok: bool, words: str) -> None:
    found = ask(watched(Ask.PAGE, path), service, marks)
    assert found.ok is ok and words in found.summary


def test_a_page_that_nobody_serves() -> None:
    assert not ask(watched(Ask.PAGE), Service("127.0.0.1", 1), DONE).ok


@pytest.mark.parametrize(("marks", "ok"), [(DONE, True), (HALF, False), ([], False)])
def test_the_console(service: Service, marks: list[Mark], ok: bool) -> None:
    assert ask(watched(Ask.CONSOLE), service, marks).ok is ok


def test_a_page_is_no_prediction(service: Service) -> None:
    found = ask(watched(Ask.PREDICTION), service, [])
    assert not found.ok


def test_the_page_to_open() -> None:
    assert page_url(watched(Ask.PAGE, "/a"), "192.0.2.1") == "http://192.0.2.1:80/a"
    assert page_url(watched(Ask.CONSOLE), "192.0.2.1") == ""
    server = ours("server").watched
    assert page_url(server, "192.0.2.1") == "http://192.0.2.1:5100/predictions"


def test_the_units_of_a_role() -> None:
    asked = inspection(ours("hello").watched.units.values(), "stackserve")
    assert " nginx.service; echo ---" in asked and "rabbitmqctl" not in asked
    asked = inspection(ours("server").watched.units.values(), "stackserve")
    assert "'stackserve-worker@*.service'" in asked and "rabbitmqctl" in asked
    assert inspection((), "stackserve") == "true; echo ---"
    logs = units_with_logs(ours("hello").watched)
    assert logs == {"web": "nginx", "cloud-init": "cloud-final"}
