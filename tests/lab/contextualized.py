"""Boots guests from this checkout's user data, for the tests of contextualization."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openstack_client.userdata import Delivery, UserData, UserDataContext, deliver, read_code
from openstack_client.userdata import render as rendered
from tests.support.guest import Guest, certificates_of_host, image_of_lab, missing_programs

CHECKOUT = Path(__file__).resolve().parents[2]
# A guest without hardware virtualisation, on a machine that tests something else besides.
PATIENCE = 1500.0
UNITS = ["rabbitmq-server", "stackserve-web", "stackserve-recorder", "stackserve-worker@1"]


def render(**values: Any) -> UserData:
    """User data of this checkout, with what a guest on this machine must trust."""
    given = {"name": "demo", "code": read_code(CHECKOUT), "ca_bundle": certificates_of_host()}
    return rendered(UserDataContext(**(given | values)))


def lab_image(needs: Callable[[object, str], None]) -> Path:
    programs = missing_programs()
    needs(not programs, f"missing: {', '.join(programs)}; ./scripts/lab up installs them")
    image = image_of_lab()
    needs(image, "there is no guest image: ./scripts/lab up builds it")
    assert image is not None
    return image


@contextmanager
def delivered(guest: Guest, user_data: UserData) -> Iterator[Guest]:
    """The guest, booting, once it has taken its code."""
    with guest:
        guest.wait_for("code", "begin", PATIENCE)
        assert guest.http_port is not None
        until = time.monotonic() + 300
        while deliver("127.0.0.1", guest.http_port, user_data.payload) is Delivery.NOT_YET:
            assert time.monotonic() < until, "the guest does not take its code"
            time.sleep(1)
        yield guest


def ask(guest: Guest, path: str, body: object = None) -> Any:
    """GET, or POST of something as JSON."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{guest.http_port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def reboot(guest: Guest) -> None:
    """As its administrator would; until a prediction comes back there."""
    before = boot_id(guest)
    guest.ssh("sudo systemctl reboot", check=False)
    until = time.monotonic() + PATIENCE
    while boot_id(guest) in ("", before) or not is_ready(guest):
        assert time.monotonic() < until, "it does not come back from the reboot"
        time.sleep(2)


def is_ready(guest: Guest) -> bool:
    """Whether a prediction comes back there."""
    try:
        return bool(ask(guest, "/ready")["ready"])
    except OSError:
        return False


def boot_id(guest: Guest) -> str:
    """Another one after each boot; empty while it cannot be asked."""
    return guest.ssh("cat /proc/sys/kernel/random/boot_id", check=False)
