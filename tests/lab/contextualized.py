"""Boots guests with user data from this checkout, for the contextualization tests."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openstack_client.userdata import UserData, UserDataContext, read_code
from openstack_client.userdata import render as rendered
from tests.support.guest import Guest, certificates_of_host, image_of_lab, missing_programs

CHECKOUT = Path(__file__).resolve().parents[2]
# Seconds for an emulated guest on a machine that runs other tests.
PATIENCE = 1500.0
UNITS = ["rabbitmq-server", "stackserve-web", "stackserve-recorder", "stackserve-worker@1"]


def render(**values: Any) -> UserData:
    """User data from this checkout, with the certificates of this machine."""
    given = {"name": "demo", "code": read_code(CHECKOUT), "ca_bundle": certificates_of_host()}
    return rendered(UserDataContext(**(given | values)))


def lab_image(needs: Callable[[object, str], None]) -> Path:
    programs = missing_programs()
    needs(not programs, f"missing: {', '.join(programs)}; ./scripts/lab up installs them")
    image = image_of_lab()
    needs(image, "the guest image is missing; ./scripts/lab up builds it")
    assert image is not None
    return image


@contextmanager
def delivered(guest: Guest, user_data: UserData) -> Iterator[Guest]:
    """Boot the guest and deliver the code."""
    with guest:
        guest.wait_for("code", "begin", PATIENCE)
        until = time.monotonic() + 300
        while not deliver(guest, user_data.payload):
            assert time.monotonic() < until, "the guest does not accept the code"
            time.sleep(1)
        yield guest


def deliver(guest: Guest, payload: bytes) -> bool:
    """Try to deliver the code over ssh; return whether the guest has it."""
    command = "sudo /usr/local/sbin/stackserve-deliver code"
    return guest.ssh(command, check=False, given=payload).strip() in {"taken", "there"}


def ask(guest: Guest, path: str, body: object = None) -> Any:
    """Send a GET request, or a POST request with a JSON body."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{guest.http_port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def reboot(guest: Guest) -> None:
    """Reboot, and wait until the server is ready again."""
    before = boot_id(guest)
    guest.ssh("sudo systemctl reboot", check=False)
    until = time.monotonic() + PATIENCE
    while boot_id(guest) in ("", before) or not is_ready(guest):
        assert time.monotonic() < until, "the server is not ready after the reboot"
        time.sleep(2)


def is_ready(guest: Guest) -> bool:
    """Whether the server reports that it is ready."""
    try:
        return bool(ask(guest, "/ready")["ready"])
    except OSError:
        return False


def boot_id(guest: Guest) -> str:
    """An id that changes with each boot, '' while ssh does not work."""
    return guest.ssh("cat /proc/sys/kernel/random/boot_id", check=False)
