"""What `autoscale --once` remembers from one run of cron to the next, in a file on this machine.

If the file is lost, the next decision takes longer, and nothing else happens.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from openstack_client.plan.autoscale import History, Limits


@dataclass(frozen=True)
class Kept:
    limits: Limits
    history: History = field(default_factory=History)


_FORMAT = TypeAdapter(Kept)


def readings_file(folder: Path, name: str) -> Path:
    return folder / "autoscale" / f"{name}.json"


def remembered(file: Path, limits: Limits) -> History:
    """The history so far; an empty one if the limits have changed since, which is a new order."""
    with contextlib.suppress(FileNotFoundError, ValidationError):
        kept = _FORMAT.validate_json(file.read_bytes())
        if kept.limits == limits:
            return kept.history
    return History()


def remember(file: Path, limits: Limits, history: History) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = file.with_name(f"{file.name}.{os.getpid()}")
    scratch.write_bytes(_FORMAT.dump_json(Kept(limits, history)))
    scratch.replace(file)
