#!/usr/bin/env python3
"""Succeed once every worker on this machine takes tasks from the server's RabbitMQ.

Each worker tells systemd so (production_server/worker/status.py). That also shows in `systemctl
status stackserve-worker@1`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from ready import CHECK_UNITS_EVERY, PAUSE, give_up_on_restarts, started_units

TAKING_TASKS = "taking tasks"


def main() -> None:
    units = started_units()
    wait(units, int(os.environ["READY_TIMEOUT"]))
    print(f"{len(units)} workers are taking tasks", flush=True)
    # A reset after this loses nothing.
    subprocess.run(["sync"], check=True)


def wait(units: list[str], timeout: float) -> None:
    until = time.monotonic() + timeout
    next_check = time.monotonic() + CHECK_UNITS_EVERY
    while True:
        said = {unit: status(unit) for unit in units}
        if all(text == TAKING_TASKS for text in said.values()):
            return
        if time.monotonic() > next_check:
            give_up_on_restarts(units)
            next_check = time.monotonic() + CHECK_UNITS_EVERY
        if time.monotonic() > until:
            missing = ", ".join(
                f"{unit} ({text or 'starting'})"
                for unit, text in said.items()
                if text != TAKING_TASKS
            )
            sys.exit(f"error: not ready after {timeout:.0f} s: {missing}")
        time.sleep(PAUSE)


def status(unit: str) -> str:
    show = ["systemctl", "show", "--property=StatusText", "--value", unit]
    return subprocess.run(show, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
