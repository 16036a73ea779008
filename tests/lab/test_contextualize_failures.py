"""Steps that fail in a real guest are reported on the console within seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openstack_client.userdata import CarriedFile, read_code
from tests.lab.contextualized import CHECKOUT, PATIENCE, deliver, lab_image, render
from tests.support.guest import Guest, Marker

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def failure(guest: Guest, payload: bytes) -> tuple[Marker, float]:
    """The failed step, and the seconds until the console reported it."""
    until = time.monotonic() + PATIENCE
    taken = False
    while time.monotonic() < until:
        if not taken:
            taken = deliver(guest, payload)
        for marker in guest.markers():
            if marker.state == "failed":
                return marker, lag(guest, marker)
        time.sleep(1)
    raise AssertionError("nothing failed:\n" + guest.console()[-2000:])


def lag(guest: Guest, marker: Marker) -> float:
    """Seconds from the last line in the step's log to the marker, by the guest's clock."""
    output = guest.ssh(
        f"sudo stat -c %.Y /var/log/stackserve/{marker.stage}.log; date +%s.%N; cat /proc/uptime"
    ).split()
    wrote, now, uptime = float(output[0]), float(output[1]), float(output[2])
    return marker.t - (wrote - (now - uptime))


def damaged_code() -> tuple[CarriedFile, ...]:
    """The code of this checkout with a truncated model file."""
    return tuple(
        CarriedFile(path=file.path, content=file.content[:1000])
        if file.path.endswith("model.keras")
        else file
        for file in read_code(CHECKOUT)
    )


NO_NETWORK = r"cannot reach the package index|Could not resolve|Failed to fetch"
# Failure -> (user data that causes it, whether the guest has a network, the step, its message)
CASES: dict[str, tuple[Callable[[], dict[str, Any]], bool, str, str]] = {
    "package not found": (
        lambda: {"extra_packages": ("no-such-package",)},
        True,
        "packages",
        r"Unable to locate package no-such-package",
    ),
    "model corrupt": (lambda: {"code": damaged_code()}, True, "model", r"damaged|sha256"),
    "no network": (dict, False, "packages|dependencies", NO_NETWORK),
}


@pytest.mark.parametrize(("values", "network", "stage", "words"), CASES.values(), ids=CASES)
def test_the_failed_step_is_reported_with_its_reason(
    values: Callable[[], dict[str, Any]],
    network: bool,
    stage: str,
    words: str,
    needs: Callable[[object, str], None],
    tmp_path: Path,
) -> None:
    user_data = render(**values())
    with Guest(
        tmp_path / "guest", lab_image(needs), user_data.data, memory_mb=2048, network=network
    ) as guest:
        failed, seconds = failure(guest, user_data.payload)
        assert re.fullmatch(stage, failed.stage)
        assert re.search(words, failed.detail), failed.detail
        assert seconds < 10
        # The lines before the marker have details, and no step follows it.
        assert f"STACKSERVE-LOG stage={failed.stage} " in guest.console()
        assert not any(marker.t > failed.t + 1 for marker in guest.markers())
        assert guest.ssh("systemctl is-active contextualize || true").strip() == "failed"
