"""Measure the four cases: a bare guest, a baked image, a stock image, the usual cloud-config."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from benchmarks.deploy import guests, usual_config
from benchmarks.deploy.guests import Guest
from benchmarks.systems import ROOT

BARE, BAKED, STOCK, USUAL = "bare guest", "baked image", "stock image", "usual cloud-config"
POLL_SECONDS = 1.0
NAME = "bench-deploy"
ROW = {
    "pregnancies": 2,
    "glucose": 130,
    "blood_pressure": 72,
    "skin_thickness": 25,
    "insulin": 100,
    "bmi": 31.5,
    "pedigree": 0.4,
    "age": 33,
}


@dataclass
class Timeline:
    """The result of one case.

    `seconds` is the time from the command to the first prediction. For the bare guest, it is the
    time from the create request to the first ssh command.
    """

    case: str
    seconds: float
    received: int | None
    stages: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "seconds": round(self.seconds, 1),
            "bytes_received": self.received,
            "stages": self.stages,
            "note": self.note,
        }


def bare(timeout: float) -> Timeline:
    """Measure from the create request until a command runs over ssh, with empty user data."""
    with guests.guest(NAME, b"#cloud-config\n{}\n") as guest:
        wait_until(lambda: guest.ssh("true") is not None, timeout, "ssh login")
        seconds = time.monotonic() - guest.requested
        return Timeline(BARE, seconds, guest.received())


def usual(timeout: float) -> Timeline:
    """Measure from the command until the tutorial's service predicts."""
    started = time.monotonic()
    settings = guests.sourced_cloud(NAME).settings
    bundle = settings.ca_bundle.read_text("utf-8") if settings.ca_bundle else None
    with guests.guest(
        NAME, usual_config.user_data(bundle, settings.apt_mirror, settings.pip_index)
    ) as guest:
        url = f"http://{guest.address}:{usual_config.PORT}/predict"
        wait_until(lambda: predicts(url), timeout, f"a prediction at {url}")
        seconds = time.monotonic() - started
        return Timeline(USUAL, seconds, guest.received(), read_marks(guest))


def read_marks(guest: Guest) -> list[dict[str, Any]]:
    """The stages of the usual cloud-config, each with the server's uptime when it ended."""
    lines = (guest.ssh(f"cat {usual_config.MARKS}") or "").split("\n")
    pairs = [line.split() for line in lines if line]
    return [{"stage": stage, "uptime": float(uptime)} for stage, uptime in pairs]


def ours(case: str, image: str | None, timeout: float) -> Timeline:
    """Measure the launcher's own command, run as a process, until it reports success."""
    image_option = ["--image", image] if image else []
    started = time.monotonic()
    command = [
        sys.executable,
        str(ROOT / "openstack_client" / "start_instance.py"),
        NAME,
        "--json",
        "--timeout-ready",
        str(round(timeout)),
        *image_option,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - started
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    try:
        result = next((event for event in events if event.get("event") == "result"), None)
        if result is None:
            failure: dict[str, Any] = next(
                (event for event in events if event.get("event") == "error"), {}
            )
            message = failure.get("message", done.stdout)
            raise SystemExit(f"{case}: the deploy failed: {message}")
        guest = Guest(result["address"], guests.login_command(result["ssh"]), started)
        plan = next(event for event in events if event.get("event") == "plan")
        note = f"{plan['image']['name']}: {plan['image']['why']}"
        return Timeline(case, seconds, guest.received(), result["stages"], note)
    finally:
        guests.remove(guests.sourced_cloud(NAME), NAME)


def baked_image() -> str | None:
    """The name of the image that a deploy would use, if it is a baked one."""
    plan = run_stackserve("plan", NAME, "--json")
    image = plan["image"] or {}
    return image["name"] if str(image.get("why", "")).startswith("baked from") else None


def run_stackserve(*arguments: str) -> dict[str, Any]:
    """Run a command of the launcher; return the last JSON document that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "openstack_client", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{arguments[0]} failed with exit code {done.returncode}: {done.stdout}")
    lines = done.stdout.strip().splitlines()
    text = lines[-1] if lines[-1].startswith("{") and len(lines[-1]) > 1 else done.stdout
    document: dict[str, Any] = json.loads(text)
    return document


def predicts(url: str) -> bool:
    """Whether the tutorial's service predicts one row."""
    try:
        response = requests.post(url, json=[ROW], timeout=60)
    except requests.RequestException:
        return False
    return response.status_code == requests.codes.ok and bool(response.json()["probability"])


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll until the condition holds; exit with an error after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"No {what} after {timeout:.0f} s.")
        time.sleep(POLL_SECONDS)
