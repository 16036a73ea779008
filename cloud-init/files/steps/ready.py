#!/usr/bin/env python3
"""Succeed once a prediction has come back through the queue and every unit is active.

This asks the web tier (production_server/web/operations.py:readiness), which asks a worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PAUSE = 0.3
PATIENCE = 10  # seconds for one response
CHECK_UNITS_EVERY = 10  # seconds
# A unit that has restarted this often will not come up.
MAX_RESTARTS = 4


def main() -> None:
    units = started_units()
    url = f"http://127.0.0.1:{os.environ['WEB_PORT']}/ready"
    version = wait(url, int(os.environ["READY_TIMEOUT"]), units)
    print(f"ready: model {version}", flush=True)
    # A reset after this loses nothing. Most is on the disk already; see keep() in contextualize.py.
    began = time.monotonic()
    subprocess.run(["sync"], check=True)
    print(f"synced in {time.monotonic() - began:.2f} s", flush=True)
    sys.exit(subprocess.run(["systemctl", "is-active", *units], check=False).returncode)


def started_units() -> list[str]:
    """Start the services of this machine, unless they run already."""
    services = [str(Path(__file__).with_name("services.sh"))]
    return subprocess.run(services, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def wait(url: str, timeout: float, units: list[str]) -> str:
    """Return the model that answers there.

    The launcher waits `timeout` seconds from ACTIVE. The same time from here always ends later, so
    the server never gives up first. It does not count from boot, because a launcher that was
    interrupted delivers the code, and starts its own clock, long after that.
    """
    until = time.monotonic() + timeout
    next_check = time.monotonic() + CHECK_UNITS_EVERY
    while True:
        body, missing = ask(url)
        if not missing:
            return str(body["version"])
        if time.monotonic() > next_check:
            give_up_on_restarts(units)
            next_check = time.monotonic() + CHECK_UNITS_EVERY
        if time.monotonic() > until:
            sys.exit(f"error: not ready after {timeout:.0f} s: {missing}")
        time.sleep(PAUSE)


def give_up_on_restarts(units: list[str]) -> None:
    """Exit with a unit's last log lines if it keeps restarting."""
    for unit in units:
        show = ["systemctl", "show", "--property=NRestarts", "--value", unit]
        restarts = subprocess.run(show, stdout=subprocess.PIPE, text=True, check=True).stdout
        if int(restarts) >= MAX_RESTARTS:
            journal = ["journalctl", "--no-pager", "--output=cat", "--lines=12", f"--unit={unit}"]
            subprocess.run(journal, check=False)
            sys.exit(f"error: {unit} has restarted {restarts.strip()} times")


def ask(url: str) -> tuple[dict[str, Any], str]:
    """The body of /ready, and what is missing; nothing if it is ready."""
    # The proxy is for downloads, not for this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            return json.load(answer), ""
    except urllib.error.HTTPError as error:
        with error:
            body = json.load(error)
    except (OSError, ValueError) as error:
        return {}, f"the web tier does not answer ({error})"
    return body, str(body.get("detail", "no reason given"))


if __name__ == "__main__":
    main()
