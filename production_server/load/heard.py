"""When each worker VM has answered a question for the last time, in a file of the service."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

_FORMAT = TypeAdapter(dict[str, float])
FILE = "workers-heard.json"
# Seconds. Nobody asks for one that has been silent for longer.
KEPT = 30 * 86400.0


def last_heard(home: Path) -> dict[str, float]:
    """The time of each worker VM's last answer, in seconds since 1970."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        return _FORMAT.validate_json((home / FILE).read_bytes())
    return {}


def hear(home: Path, vms: Iterable[str], now: float) -> dict[str, float]:
    """Note that these have answered now. Returns all times."""
    known = {vm: when for vm, when in last_heard(home).items() if now - when < KEPT}
    known |= dict.fromkeys(vms, now)
    scratch = home / f"{FILE}.{os.getpid()}"
    scratch.write_bytes(_FORMAT.dump_json(known))
    scratch.replace(home / FILE)
    return known
