"""The four time lines: a bare guest, ours on a baked and on a stock image, the usual cloud-cfg."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from benchmarks.deploy import guests, usual
from benchmarks.deploy.guests import Guest
from benchmarks.systems import ROOT

BARE, BAKED, STOCK, USUAL = "bare guest", "baked image", "stock image", "usual cloud-cfg"
PAUSE = 1.0
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
class Line:
    """One time line. `seconds` is what counts: for the bare guest from create to ssh, for the
    others from the command to the first prediction."""

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


def bare(patience: float) -> Line:
    """From the request to Nova until a command runs over ssh; user data asks for nothing."""
    with guests.guest(NAME, b"#cloud-config\n{}\n") as guest:
        until_true(lambda: guest.ssh("true") is not None, patience, "ssh")
        seconds = time.monotonic() - guest.requested
        return Line(BARE, seconds, guest.received())


def usual_way(patience: float) -> Line:
    """From the command until the tutorial's service predicts."""
    began = time.monotonic()
    settings = guests.session(NAME).settings
    bundle = settings.ca_bundle.read_text("utf-8") if settings.ca_bundle else None
    with guests.guest(
        NAME, usual.user_data(bundle, settings.apt_mirror, settings.pip_index)
    ) as guest:
        url = f"http://{guest.address}:{usual.PORT}/predict"
        until_true(lambda: predicts(url), patience, f"a prediction at {url}")
        seconds = time.monotonic() - began
        return Line(USUAL, seconds, guest.received(), marks(guest))


def marks(guest: Guest) -> list[dict[str, Any]]:
    """How far the usual way was, by the server's own clock since it was switched on."""
    told = (guest.ssh(f"cat {usual.MARKS}") or "").split("\n")
    pairs = [line.split() for line in told if line]
    return [{"stage": stage, "uptime": float(uptime)} for stage, uptime in pairs]


def ours(case: str, image: str | None, patience: float) -> Line:
    """The launcher's own command, in a process of its own, until it says that it is ready."""
    more = ["--image", image] if image else []
    began = time.monotonic()
    command = [
        sys.executable,
        str(ROOT / "openstack_client" / "start_instance.py"),
        NAME,
        "--json",
        "--timeout-ready",
        str(round(patience)),
        *more,
    ]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.monotonic() - began
    events = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    try:
        result = next((event for event in events if event.get("event") == "result"), None)
        if result is None:
            failure: dict[str, Any] = next(
                (event for event in events if event.get("event") == "error"), {}
            )
            raise SystemExit(f"{case}: the deploy failed: {failure.get('message', ended.stdout)}")
        guest = Guest(result["address"], guests.login_of(result["ssh"]), began)
        plan = next(event for event in events if event.get("event") == "plan")
        note = f"{plan['image']['name']}: {plan['image']['why']}"
        return Line(case, seconds, guest.received(), result["stages"], note)
    finally:
        guests.remove(guests.session(NAME), NAME)


def baked_image() -> str | None:
    """The name of the image that a deploy would choose, if it is a baked one."""
    plan = run_verb("plan", NAME, "--json")
    image = plan["image"] or {}
    return image["name"] if str(image.get("why", "")).startswith("baked from") else None


def run_verb(*arguments: str) -> dict[str, Any]:
    """The last JSON document that a verb of the launcher prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "openstack_client", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise SystemExit(f"{arguments[0]} ended with code {ended.returncode}: {ended.stdout}")
    lines = ended.stdout.strip().splitlines()
    text = lines[-1] if lines[-1].startswith("{") and len(lines[-1]) > 1 else ended.stdout
    found: dict[str, Any] = json.loads(text)
    return found


def predicts(url: str) -> bool:
    """Whether the tutorial's service answers one row."""
    try:
        answer = requests.post(url, json=[ROW], timeout=60)
    except requests.RequestException:
        return False
    return answer.status_code == requests.codes.ok and bool(answer.json()["probability"])


def until_true(ask: Callable[[], bool], patience: float, what: str) -> None:
    """Ask again and again; AssertionError when that takes longer than `patience`."""
    until = time.monotonic() + patience
    while not ask():
        if time.monotonic() > until:
            raise SystemExit(f"no {what} after {patience:.0f} s")
        time.sleep(PAUSE)
